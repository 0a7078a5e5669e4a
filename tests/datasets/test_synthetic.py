"""The embedded faces as a store: the same content whatever the workers, and after a stop."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from datasets.face_track import track_of
from datasets.making import make_store
from datasets.store import EventStore, StoreWriter
from datasets.synthetic import SIZES, SyntheticSpec, faces, recipe
from neuva import NeuvaError

SPEC = SyntheticSpec(identities=(2, 1, 1), clips=(3, 1, 1), seconds=0.4, size=64)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("faces") / "faces.h5"
    make_store(path, faces(SPEC), workers=1)
    return path


def test_a_clip_carries_all_it_should(made: Path) -> None:
    store = EventStore(made)
    sample, meta = store.sample(0), store.meta(0)
    assert store.splits == ["train"] * 3 + ["validation", "test"]
    assert len(sample.events) > 100
    assert sample.labels.shape == (10, 2)
    assert meta["synthetic"] is True
    assert meta["subject"] == str(meta["identity"])
    assert {"identity", "lighting", "action_units", "expressions"} <= set(meta)
    assert store.arrays(0, "frames").shape == (10, 64, 64)
    assert store.arrays(0, "action_units").shape == (10, len(meta["action_units"]))
    assert store.arrays(0, "expression").max() < len(meta["expressions"])
    track = track_of(meta)
    assert track is not None
    assert np.all((track.boxes[:, 2] > 20) & (track.boxes[:, 2] < 80))


def test_no_person_is_in_two_splits(made: Path) -> None:
    people: dict[str, set[int]] = {}
    for i, split in enumerate(EventStore(made).splits):
        people.setdefault(split, set()).add(EventStore(made).meta(i)["identity"])
    assert people["train"].isdisjoint(people["test"] | people["validation"])
    assert people["test"].isdisjoint(people["validation"])


def test_few_bytes_an_event(tmp_path: Path) -> None:
    jobs = faces(SyntheticSpec(identities=(1, 1, 1), clips=(1, 1, 1), seconds=1)).jobs
    with StoreWriter(tmp_path / "a.h5", dataset="faces", sensor_size=(128, 128), provenance={}) as store:
        for job in jobs:
            store.add(job.name, job.split, job.make()[0])  # without the frames beside them
    assert (tmp_path / "a.h5").stat().st_size / sum(EventStore(tmp_path / "a.h5").event_counts) < 4


def test_a_stopped_making_goes_on(made: Path, tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_store(tmp_path / "part.h5", faces(SPEC), workers=1, progress=stop)
    assert not (tmp_path / "part.h5").exists()
    counts: list[int] = []
    make_store(tmp_path / "part.h5", faces(SPEC), workers=1, progress=lambda done, _: counts.append(done))
    assert counts[0] == 2
    assert (tmp_path / "part.h5").read_bytes() == made.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["part.h5"]


def test_another_seed_makes_another_store(made: Path, tmp_path: Path) -> None:
    make_store(tmp_path / "other.h5", faces(dataclasses.replace(SPEC, seed=1)), workers=1)
    one, other = EventStore(made), EventStore(tmp_path / "other.h5")
    assert all(one.sample(i).events != other.sample(i).events for i in range(len(one)))


def test_the_sizes_are_recipes() -> None:
    assert [job.split for job in recipe(size="smallest").jobs] == ["train"] * 8 + ["validation"] * 2 + ["test"] * 4
    assert recipe(seed=3).provenance["seed"] == 3
    assert len(recipe().jobs) == sum(SIZES["default"].clips)
    with pytest.raises(NeuvaError, match='size "huge" is not known: choose one of default, smallest'):
        recipe(size="huge")
