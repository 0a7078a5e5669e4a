"""The synthetic videos: stored as Aff-Wild2 is, with sound that tells valence and arousal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets import aff_wild2
from datasets.aff_wild2.annotations import ACTION_UNITS, EXPRESSIONS, TASKS
from datasets.faces import AU_NAMES
from datasets.making import make_store
from datasets.store import EventStore
from datasets.synthetic_videos import SIZES, VideosSpec, action_units, recipe, videos, voice
from neuva import NeuvaError

SPEC = VideosSpec(videos=(4, 2), seconds=(1.0, 0.4))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> EventStore:
    path = tmp_path_factory.mktemp("videos") / "videos.h5"
    make_store(path, videos(SPEC), workers=1)
    return EventStore(path)


def test_a_clip_has_what_aff_wild2_has(store: EventStore) -> None:
    sample = store.sample(0)
    assert store.dataset == "synthetic-videos"
    assert store.sensor_size == (112, 112)
    assert len(sample.events) == 0
    assert len(sample.labels) == 25
    np.testing.assert_array_equal(sample.label_times, np.arange(25) * 40_000)
    assert np.all(sample.labels[~sample.mask] == 0)
    dtypes = {"expression": np.int8, "action_units": np.int8, "jpeg": np.uint8, "jpeg_offsets": np.int64}
    dtypes |= {"frame_numbers": np.int32, "frame_index": np.int32, "audio": np.int16}
    assert {key: store.arrays(0, key).dtype for key in dtypes} == dtypes
    assert store.arrays(0, "audio").shape == (16_000,)
    as_aff_wild2 = {"video", "person", "fold", "official", "fps", "fps_assumed", "audio_rate"}
    assert as_aff_wild2 | {"frames_without_picture", "annotations_cut", "synthetic"} <= set(sample.meta)
    assert sample.meta["synthetic"] is True
    assert store.provenance["synthetic"] is True


def test_aff_wild2_reads_the_faces(store: EventStore) -> None:
    faces = aff_wild2.frames_of(store, 0)
    numbers, shown = store.arrays(0, "frame_numbers"), store.arrays(0, "frame_index")
    assert faces.shape == (25, 112, 112, 3)
    assert len(numbers) == 25 - store.meta(0)["frames_without_picture"] < 25
    lost = np.setdiff1d(np.arange(1, 26), numbers)
    np.testing.assert_array_equal(faces[lost[0] - 1], faces[numbers[shown[lost[0] - 1]] - 1])
    assert faces.std() > 20  # a face, no blank


def test_labels_are_masked_now_and_then_and_in_their_range(store: EventStore) -> None:
    expression = np.concatenate([store.arrays(i, "expression") for i in range(len(store))])
    units = np.concatenate([store.arrays(i, "action_units") for i in range(len(store))])
    mask = np.concatenate([store.sample(i).mask for i in range(len(store))])
    assert 0 < (expression < 0).mean() < 0.6
    assert 0 < (~mask).mean() < 0.6
    assert expression.max() < len(EXPRESSIONS)
    assert np.all((units < 0).any(1) == (units < 0).all(1))  # a frame is invalid for all units or for none
    assert 0 < (units < 0).any(1).mean() < 0.6
    assert not np.any(units[:, ACTION_UNITS.index("AU24")] > 0)


def test_splits_and_folds_keep_people_apart(store: EventStore) -> None:
    metas = [store.meta(i) for i in range(len(store))]
    assert store.splits == ["train"] * 4 + ["validation"] * 2
    assert all(meta["official"] == dict.fromkeys(TASKS, split) for meta, split in zip(metas, store.splits, strict=True))
    assert {meta["fold"] for meta in metas} == set(range(5))
    assert len({meta["subject"] for meta in metas}) == len({meta["video"] for meta in metas}) == 6


def test_expressions_go_by_aff_wild2s_numbers() -> None:
    from datasets.faces import EXPRESSIONS as DRAWN
    from datasets.synthetic_videos import _EXPRESSION

    named = {name: EXPRESSIONS[number] for name, number in zip(DRAWN, _EXPRESSION, strict=True)}
    assert named == {
        "neutral": "Neutral", "happiness": "Happiness", "sadness": "Sadness", "surprise": "Surprise", "fear": "Fear",
        "disgust": "Disgust", "anger": "Anger", "low arousal": "Other",
    }  # fmt: skip
    assert sorted(_EXPRESSION) == list(range(8))


def test_action_units_are_found_by_name() -> None:
    drawn = np.zeros((2, len(AU_NAMES)))
    drawn[0, AU_NAMES.index("AU12")], drawn[0, AU_NAMES.index("AU17")], drawn[1, AU_NAMES.index("AU26")] = 0.9, 0.9, 0.2
    present = action_units(drawn)
    assert [ACTION_UNITS[k] for k in np.flatnonzero(present[0])] == ["AU12"]  # AU17 is none of the twelve
    assert not present[1].any()


def _heard(valence: float, arousal: float) -> tuple[float, float, float]:
    """Pitch (Hz), level and brightness (Hz) of one second of a voice."""
    sound = voice(np.tile([valence, arousal], (25, 1)), np.random.default_rng(3))[:12_000] / 2**15
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / 16_000)
    return float(frequency[np.argmax(power)]), float(sound.std()), float((frequency * power).sum() / power.sum())


def test_the_voice_follows_its_formula() -> None:
    pitch, level, bright = _heard(0, 0)
    high, loud, _ = _heard(0, 1)
    assert high / pitch == pytest.approx(2**0.75, rel=0.02)
    assert loud / level == pytest.approx(10**0.5, rel=0.02)
    assert level == pytest.approx(10 ** (-26 / 20), rel=0.05)
    _, same, brighter = _heard(0.9, 0)
    assert brighter > 1.5 * bright > 0
    assert same == pytest.approx(level, rel=0.05)  # valence does not change the level
    assert pitch > 100


def test_the_voice_has_pauses_and_no_jumps() -> None:
    sound = voice(np.zeros((250, 2)), np.random.default_rng(0)) / 2**15
    level = sound.reshape(-1, 320).std(1)
    assert 0.05 < (level < 0.01).mean() < 0.4
    assert level.min() == pytest.approx(10 ** (-50 / 20), rel=0.2)


def test_the_same_seed_gives_the_same_bytes(store: EventStore, tmp_path: Path) -> None:
    make_store(tmp_path / "again.h5", videos(SPEC), workers=1)
    assert (tmp_path / "again.h5").read_bytes() == store.path.read_bytes()


def test_the_sizes_are_recipes() -> None:
    for name, spec in SIZES.items():
        made = recipe(size=name, seed=3)
        assert len(made.jobs) == sum(spec.videos)
        assert made.provenance["seed"] == 3
        assert max(spec.seconds) * 25 > 300  # so that a clip takes more than one window
    with pytest.raises(NeuvaError, match='size "huge" is not known: choose one of default, smallest'):
        recipe(size="huge")
