"""A tiny store: a bright spot whose place says valence and arousal."""

from __future__ import annotations

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


@pytest.fixture(scope="session")
def spot_store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("spots") / "spots.h5"
    with StoreWriter(path, dataset="spots", sensor_size=(SIDE, SIDE), provenance={}) as store:
        for split, count in (("train", 6), ("validation", 2), ("test", 2)):
            for k in range(count):
                seed = len(store.finished)
                store.add(f"{split}/{k}", split, spot_sample(seed))
    return path
