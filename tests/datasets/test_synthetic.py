"""The embedded faces as a store: the same content whatever the workers, and after a stop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.face_track import track_of
from datasets.store import EventStore
from datasets.synthetic import SyntheticSpec, make_synthetic

SPEC = SyntheticSpec(identities=(2, 1, 1), clips=(3, 1, 1), seconds=0.4, size=64)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("faces") / "faces.h5"
    make_synthetic(path, SPEC, workers=1)
    return path


def same(left: Path, right: Path) -> bool:
    a, b = EventStore(left), EventStore(right)
    if (a.names, a.splits, a.provenance) != (b.names, b.splits, b.provenance):
        return False
    return all(
        np.array_equal(a.sample(i).events.array, b.sample(i).events.array)
        and np.array_equal(a.sample(i).labels, b.sample(i).labels)
        and np.array_equal(a.arrays(i, "frames"), b.arrays(i, "frames"))
        for i in range(len(a))
    )


def test_a_clip_carries_all_it_should(made: Path) -> None:
    store = EventStore(made)
    sample, meta = store.sample(0), store.meta(0)
    assert store.splits == ["train"] * 3 + ["validation", "test"]
    assert len(sample.events) > 100
    assert sample.labels.shape == (10, 2)
    assert meta["synthetic"] is True
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


def test_two_workers_make_the_same_store(made: Path, tmp_path: Path) -> None:
    make_synthetic(tmp_path / "two.h5", SPEC, workers=2)
    assert same(made, tmp_path / "two.h5")


def test_a_stopped_making_goes_on(made: Path, tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_synthetic(tmp_path / "part.h5", SPEC, workers=1, progress=stop)
    assert not (tmp_path / "part.h5").exists()
    counts: list[int] = []
    make_synthetic(tmp_path / "part.h5", SPEC, workers=1, progress=lambda done, _: counts.append(done))
    assert counts[0] == 2
    assert same(made, tmp_path / "part.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["part.h5"]


def test_another_seed_makes_another_store(made: Path, tmp_path: Path) -> None:
    make_synthetic(tmp_path / "other.h5", SyntheticSpec(**{**vars(SPEC), "seed": 1}), workers=1)
    assert not same(made, tmp_path / "other.h5")
