"""The encoder's two trainings on a store of faces, their order of faces and their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from experiments.studies.fitting import read_weights
from experiments.studies.mae_tcn_transformer import features
from experiments.studies.mae_tcn_transformer.features import clip_features, face_features
from experiments.studies.mae_tcn_transformer.pretraining import (
    AUTOENCODER,
    ENCODER,
    Recipe,
    StoreFaces,
    fine_tune,
    load_encoder,
    pretrain,
)
from neuva import NeuvaError
from snn.baselines.masked_autoencoder import AutoencoderSpec, FaceEncoder

SPEC = AutoencoderSpec(32, 8, 16, 1, 2, 16, 1, 2)
RECIPE = Recipe(epochs=3, batch=8, learning_rate=3e-3, warm_up=1, clip_norm=1.0)


@dataclass
class FakeStore:
    """What is asked of a store: clip k has frames of grey value 10 k + frame, so that each face tells where from."""

    frames: tuple[int, ...] = (6, 9, 5)

    def __post_init__(self) -> None:
        self.names = [f"clip{k}" for k in range(len(self.frames))]

    def arrays(self, clip: int, key: str) -> np.ndarray:
        n = self.frames[clip]
        if key == "expression":
            shown = np.minimum(np.arange(n), n - 2)
            return np.where(shown == 1, -1, shown % 2).astype(np.int8)  # frame 1 is invalid
        if key == "frame_index":
            return np.minimum(np.arange(n), n - 2).astype(np.int32)  # the last has no picture of its own
        files = [self._jpeg(20 * clip + 60 * (t % 2) + 2 * t) for t in range(n - 1)]
        if key == "jpeg":
            return np.concatenate(files)
        return np.concatenate([[0], np.cumsum([len(file) for file in files])])

    @staticmethod
    def _jpeg(value: int) -> np.ndarray:
        picture = np.full((112, 112, 3), value, np.uint8)
        return cv2.imencode(".jpg", picture)[1].ravel()


def shown(batches: StoreFaces) -> list[tuple[int, int]]:
    return [(int(i.mean()), int(c)) for images, classes in batches() for i, c in zip(images, classes, strict=True)]


def faces(**options: object) -> StoreFaces:
    return StoreFaces(FakeStore(), [0, 1, 2], 4, **options)  # type: ignore[arg-type]


def test_an_epoch_shows_every_face_once_in_an_order_of_its_own() -> None:
    batches = faces()
    sizes = [len(images) for images, _ in batches()]
    assert sizes == [4] * 5
    first, second = shown(batches), shown(batches)
    assert len(first) == 20
    assert first != second
    assert sorted(first) == sorted(second)
    assert shown(faces()) != shown(faces(seed=1))
    assert shown(faces(seed=3)) == shown(faces(seed=3))


def test_faces_keep_their_expressions() -> None:
    assert {expression for _, expression in shown(faces(labelled=True))} == {0, 1}
    pairs = shown(StoreFaces(FakeStore((10,)), [0], 4))  # type: ignore[arg-type]
    odd = {60 + 2 * t for t in (3, 5, 7)}
    assert {c for g, c in pairs if g in odd} == {1}
    assert {c for g, c in pairs if g in {0, 4, 8, 12}} == {0}
    assert [c for g, c in pairs if g == 62] == [-1]


def test_every_so_many_faces_and_labelled_ones_alone() -> None:
    assert len(shown(faces(labelled=True))) == 17
    batches = faces(every=3)
    assert len(shown(batches)) == 2 + 3 + 1
    assert sorted(shown(batches)) != sorted(shown(batches))  # others in each epoch


def test_the_rate_rises_then_falls() -> None:
    recipe = Recipe(epochs=6, warm_up=2)
    assert [recipe.rate(epoch) for epoch in range(3)] == pytest.approx([1 / 3, 2 / 3, 1])
    assert recipe.rate(4) == pytest.approx(0.5)
    assert 0 < recipe.rate(5) < recipe.rate(4)
    assert recipe.rate(6) == pytest.approx(0)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"warm_up": -1}])
def test_recipes_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(NeuvaError):
        Recipe(**{"epochs": 1, **wrong})


def test_both_trainings_and_what_they_keep(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    painted = pretrain(faces(), SPEC, RECIPE, tmp_path, lambda *args: told.append(args))
    assert painted["loss"][-1] < painted["loss"][0]
    assert told[-1] == ("autoencoder", 3, 3)
    known = fine_tune(
        faces(labelled=True), SPEC, Recipe(25, 8, 1e-2), tmp_path / AUTOENCODER, tmp_path, lambda *_: None
    )
    assert known["loss"][-1] < 0.5 < known["loss"][0]
    encoder = load_encoder(tmp_path / ENCODER, SPEC)
    assert not encoder.training
    assert {each.name for each in tmp_path.iterdir()} == {AUTOENCODER, ENCODER}
    store = FakeStore()
    rows = clip_features(encoder, store, 0)  # type: ignore[arg-type]
    assert rows.shape == (6, 16)
    assert np.array_equal(rows[4], rows[5])  # one picture shows both
    from datasets.aff_wild2 import frames_of

    assert np.allclose(rows, face_features(encoder, frames_of(store, 0)), atol=1e-5)  # type: ignore[arg-type]


def test_the_pictures_of_a_clip_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store, read = FakeStore(), list[str]()
    arrays = store.arrays
    store.arrays = lambda clip, key: read.append(key) or arrays(clip, key)  # type: ignore[method-assign, func-returns-value]
    encoder = FaceEncoder(SPEC, 8)
    whole = clip_features(encoder, store, 1)  # type: ignore[arg-type]
    read.clear()
    monkeypatch.setattr(features, "_DECODED", 3)
    assert np.allclose(clip_features(encoder, store, 1), whole, atol=1e-5)  # type: ignore[arg-type]
    assert read.count("jpeg") == 1


def test_the_same_job_gives_the_same_weights(tmp_path: Path) -> None:
    for name in ("a", "b"):
        torch.rand(7)
        pretrain(faces(), SPEC, Recipe(1, 8), tmp_path / name, lambda *_: None)
    first, second = (read_weights(tmp_path / name / AUTOENCODER) for name in ("a", "b"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    pretrain(faces(), SPEC, Recipe(1, 8, seed=1), tmp_path / "c", lambda *_: None)
    other = read_weights(tmp_path / "c" / AUTOENCODER)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_file_of_weights_is_where_it_begins(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    pretrain(faces(), SPEC, Recipe(1, 8), tmp_path / "a", lambda *_: None)
    weights = read_weights(tmp_path / "a" / AUTOENCODER)
    save_file(weights, tmp_path / "face.safetensors")
    slow = Recipe(1, 8, learning_rate=1e-9, weight_decay=0.0, seed=1)
    pretrain(faces(), SPEC, slow, tmp_path / "b", lambda *_: None, start=tmp_path / "face.safetensors")
    again = read_weights(tmp_path / "b" / AUTOENCODER)
    assert all(torch.allclose(weights[name], again[name], atol=1e-5) for name in weights)


def test_no_faces_and_weights_of_other_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NeuvaError, match="not one batch"):
        pretrain(list, SPEC, RECIPE, tmp_path, lambda *_: None)
    torch.save({"vit.a": torch.ones(1)}, tmp_path / "other.pt")
    with pytest.raises(NeuvaError, match=r"other\.pt: lacks"):
        pretrain(faces(), SPEC, RECIPE, tmp_path, lambda *_: None, start=tmp_path / "other.pt")
    pretrain(faces(), SPEC, Recipe(1, 8), tmp_path, lambda *_: None)
    fine_tune(faces(labelled=True), SPEC, Recipe(1, 8), tmp_path / AUTOENCODER, tmp_path, lambda *_: None)
    with pytest.raises(NeuvaError, match="other sizes"):
        load_encoder(tmp_path / ENCODER, AutoencoderSpec(32, 8, 8, 1, 2, 16, 1, 2))
