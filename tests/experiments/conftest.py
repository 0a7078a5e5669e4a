"""A tiny store: a bright spot whose place says valence and arousal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets.sample import Sample
from datasets.simulator import PRESETS, simulate
from datasets.store import StoreWriter

SIDE, ESTIMATES = 16, 30


def spot_sample(seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    times = np.arange(0, ESTIMATES * 40_000 + 1, 20_000)
    v, a = (np.sin(times / 1e6 * rng.uniform(3, 6) + rng.uniform(0, 6)) for _ in range(2))
    yy, xx = np.mgrid[:SIDE, :SIDE]
    frames = [
        (40 + 180 * np.exp(-((xx - 8 - 5 * v[k]) ** 2 + (yy - 8 - 5 * a[k]) ** 2) / 6)).astype(np.uint8)
        for k in range(len(times))
    ]
    events = simulate(frames, times, PRESETS["clean"], seed)
    labels = np.column_stack([v, a])[2::2].astype(np.float32)
    return Sample(events, times[2::2], labels, np.ones(len(labels), bool), {"start_us": 0, "synthetic": True})


def write_spots(
    path: Path,
    counts: dict[str, int],
    change: Callable[[str, Sample], Sample] = lambda _, sample: sample,
    **meta: Callable[[int], str],
) -> Path:
    """So many clips of each split, each changed; `meta` gives what else is said of clip k."""
    with StoreWriter(path, dataset="spots", sensor_size=(SIDE, SIDE), provenance={}) as store:
        for split, count in counts.items():
            for k in range(count):
                sample = change(split, spot_sample(len(store.finished)))
                said = {key: value(k) for key, value in meta.items()}
                store.add(f"{split}/{k}", split, replace(sample, meta={**sample.meta, **said}))
    return path


@pytest.fixture
def make_spots() -> Callable[..., Path]:
    return write_spots


@pytest.fixture(scope="session")
def spot_store(tmp_path_factory) -> Path:
    return write_spots(tmp_path_factory.mktemp("spots") / "spots.h5", {"train": 6, "validation": 2, "test": 2})


@pytest.fixture(scope="session")
def crowd_store(tmp_path_factory) -> Path:
    """12 clips of 11 people to calibrate a region on."""
    counts = {"train": 4, "validation": 12, "test": 2}
    return write_spots(tmp_path_factory.mktemp("crowd") / "crowd.h5", counts, subject=lambda k: str(k // 11 + k % 11))
