from __future__ import annotations

import numpy as np
import pytest

from datasets.simulator import EventSimulator, PixelModel, simulate
from datasets.simulator.kernels import log_intensity
from datasets.simulator.surround import Surround


def euler(v, s, lambda_px, tau, seconds, steps, *, tau_h=None):
    """v2e's way: many small steps, border repeated."""
    tau_h = tau / lambda_px**2 if tau_h is None else tau_h
    for _ in range(steps):
        edge = np.pad(s, 1, mode="edge")
        laplacian = edge[:-2, 1:-1] + edge[2:, 1:-1] + edge[1:-1, :-2] + edge[1:-1, 2:] - 4 * s
        s = s + seconds / steps * ((v - s) / tau + laplacian / tau_h)
    return s


@pytest.mark.parametrize("right", [True, False])
def test_surround_is_the_grid_of_small_steps(right):
    random = np.random.default_rng(0)
    first, second = random.random((2, 9, 14)) * 5
    surround = Surround(first.shape, 2.0, 8.0, first)
    start = euler(first, first, 2.0, 8e-3, 1.0, 40_000)  # at rest
    found = start + surround.follow(second, 5e-3)
    wrong = None if right else 8e-3 * 2.0**2  # the grid's time constant must fall with lambda, not rise
    expected = euler(second, start, 2.0, 8e-3, 5e-3, 4000, tau_h=wrong)
    assert np.allclose(found, expected, atol=1e-3) == right


def test_an_even_picture_is_a_plain_low_pass():
    surround = Surround((4, 6), 3.0, 10.0, np.zeros((4, 6)))
    changes = [surround.follow(np.ones((4, 6)), 0.005) for _ in range(4)]
    assert np.cumsum(changes, axis=0)[:, 1, 2] == pytest.approx([1 - np.exp(-0.5 * n) for n in range(1, 5)])


def test_no_time_constant_is_the_grid_at_rest():
    random = np.random.default_rng(1)
    first, second = random.random((2, 7, 8))
    slow, at_once = (Surround((7, 8), 1.5, tau, first) for tau in (1.0, 0.0))
    assert np.allclose(slow.follow(second, 10.0), at_once.follow(second, 1e-6))


def test_surround_takes_out_flicker_and_keeps_edges():
    even = [np.full((20, 30), value, np.uint8) for value in (60, 120, 60, 120)]
    times = range(0, 40_000, 10_000)
    assert len(simulate(even, times, PixelModel(), 0)) > 0
    assert len(simulate(even, times, PixelModel(surround_px=3), 0)) == 0
    spot = [frame.copy() for frame in even]
    for number, frame in enumerate(spot):
        frame[10, 10 + number] = 250
    assert len(simulate(spot, times, PixelModel(surround_px=3), 0)) > 0


def test_a_still_picture_gives_no_events_from_the_first_frame_on():
    frame = np.random.default_rng(2).integers(0, 256, (20, 30)).astype(np.uint8)
    simulator = EventSimulator((30, 20), PixelModel(surround_px=5, surround_ms=20, cutoff_hz=50), 0)
    assert sum(len(simulator.feed(frame, 1000 * number)) for number in range(20)) == 0


def test_counts_of_a_pixel_follow_what_it_sees():
    frames = np.random.default_rng(3).integers(0, 256, (6, 12, 16)).astype(np.uint8)
    model = PixelModel(surround_px=2, surround_ms=5)
    simulator = EventSimulator((16, 12), model, 0)
    level = log_intensity(frames)
    surround = Surround((12, 16), 2, 5, level[0])
    seen, net = np.zeros((12, 16)), np.zeros((12, 16))
    for number, frame in enumerate(frames):
        events = simulator.feed(frame, 4000 * number)
        if number:
            seen += level[number] - level[number - 1] - surround.follow(level[number], 4e-3)
        np.add.at(net, (events["y"], events["x"]), 2 * events["p"].astype(int) - 1)
        assert np.all(np.abs(seen - 0.2 * net) < 0.2)
    assert net.any()
