"""The benchmark's numpy peer is v2e's definition, so that the race is one over the same distance."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.simulator import PRESETS, EventSimulator, PixelModel
from experiments.benchmarks import simulator as bench
from experiments.benchmarks.v2e_numpy import NumpyV2e


def totals(model, pictures, dt=3333):
    ours, peer = EventSimulator(pictures.shape[:0:-1], model, 0), NumpyV2e(model, pictures.shape[1:], 0)
    mine = np.concatenate([ours.feed(picture, dt * number) for number, picture in enumerate(pictures)])
    theirs = np.concatenate([peer.feed(picture, 1e-6 * dt * number) for number, picture in enumerate(pictures)])
    return mine, theirs


def test_same_counts_of_each_pixel_without_noise():
    mine, theirs = totals(PixelModel(theta_on=0.23, theta_off=0.17), bench.moving_texture(1.0, 12, (90, 70)))
    for polarity, sign in ((0, -1), (1, 1)):
        a, b = np.zeros((70, 90), int), np.zeros((70, 90), int)
        np.add.at(a, (mine["y"][mine["p"] == polarity], mine["x"][mine["p"] == polarity]), 1)
        rows = theirs[theirs[:, 3] == sign].astype(int)
        np.add.at(b, (rows[:, 2], rows[:, 1]), 1)
        assert np.array_equal(a, b)


@pytest.mark.parametrize("name", ["clean", "v2e", "noisy"])
def test_same_number_of_events_with_noise(name):
    mine, theirs = totals(PRESETS[name], bench.moving_texture(1.0, 40, (180, 140)))
    late = 20 * 3333  # v2e's leak starts from nothing, ours at rest: until then they differ
    mine, theirs = mine[mine["t"] > late], theirs[theirs[:, 0] > 1e-6 * late]
    assert len(mine) == pytest.approx(len(theirs), rel=0.03)
    assert mine["p"].mean() == pytest.approx((theirs[:, 3] > 0).mean(), abs=0.02)


def test_noise_alone_is_v2es():
    still = np.full((16, 100, 100), 30, np.uint8)
    mine, theirs = totals(PixelModel(shot_hz=20, sigma=0.03, refractory_us=500), still, 10_000)
    assert len(mine) == pytest.approx(len(theirs), rel=0.05)


def test_benchmark_runs(monkeypatch):
    monkeypatch.setattr(bench, "FRAMES", 3)
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    steps = []
    found = bench.run(lambda done, total: steps.append((done, total)))
    assert steps == [(n + 1, len(steps)) for n in range(len(steps))]
    speed, beside = found.tables
    assert len(speed.rows) == len(bench.PRESETS) * len(bench.MOTION_PX) * len(bench.THREADS)
    assert all(len(row) == len(speed.columns) for row in speed.rows)
    assert all(len(row) == len(beside.columns) for row in beside.rows)
    assert {row[0] for row in beside.rows} >= {"v2e's definition in numpy"}
