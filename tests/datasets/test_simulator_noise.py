from __future__ import annotations

import numpy as np
import pytest

from datasets.simulator import EventSimulator, PixelModel, preset, simulate
from neuva import NeuvaError


def still(value, seconds, model, side=100, fps=100):
    frames = [np.full((side, side), value, np.uint8)] * (int(seconds * fps) + 1)
    return simulate(frames, np.arange(len(frames)) * (1_000_000 // fps), model, 1).array


def per_pixel(events, side=100):
    return np.bincount(events["y"].astype(int) * side + events["x"], minlength=side * side)


def test_hot_pixels_are_few_and_fire_at_their_rate():
    events = still(100, 2, PixelModel(hot_share=0.01, hot_hz=50))
    counts = per_pixel(events)
    hot = counts[counts > 0]
    assert len(hot) == pytest.approx(100, abs=30)  # binomial: three standard deviations
    assert hot.mean() / 2 == pytest.approx(50, rel=0.02)
    assert events["p"].all()


def test_hot_pixels_stay_where_they_are_and_depend_on_the_seed():
    model = PixelModel(hot_share=0.01, hot_hz=200)
    frames = [np.full((40, 40), 90, np.uint8)] * 11
    places = [set(zip(e["x"].tolist(), e["y"].tolist(), strict=True)) for e in (
        simulate(frames, np.arange(11) * 10_000, model, seed).array for seed in (1, 1, 2)
    )]  # fmt: skip
    assert places[0] == places[1] != places[2]


def test_leak_rises_with_light():
    dark, bright = (len(still(value, 2, PixelModel(leak_hz=5, leak_in_bright=3))) for value in (0, 255))
    assert bright / dark == pytest.approx(3 / (1 + 2 * 20 / 275), rel=0.02)
    same = [len(still(value, 2, PixelModel(leak_hz=5))) for value in (0, 255)]
    assert same[0] == same[1]


@pytest.mark.parametrize("jitter", [0.0, 0.1, 0.4])
def test_leak_jitters_anew_each_frame(jitter):
    """A pixel that leaks one event a frame has one more or less in as many frames as the jitter's mean size."""
    events = still(100, 0.2, PixelModel(leak_hz=100, leak_jitter=jitter, leak_decades=0))
    frame = (events["t"] - 1) // 10_000
    counts = np.zeros((20, 10_000), int)
    np.add.at(counts, (frame, events["y"].astype(int) * 100 + events["x"]), 1)
    assert counts.mean() == pytest.approx(1, rel=0.005)
    normal = np.abs(np.random.default_rng(0).standard_normal(10**6))
    for each, frames in ((counts, 1), (counts.sum(axis=0), 20)):
        moved = np.minimum(1, jitter * np.sqrt(frames) * normal).mean()  # jitters add as independent ones do
        assert np.mean(each != frames) == pytest.approx(moved, rel=0.05)


def test_a_shot_does_not_hurry_the_crossings_around_it():
    """Beside the shot and the crossing it brings on, events keep the times of a pixel without noise."""
    frames = [np.full((100, 100), value, np.uint8) for value in (50, 200)]
    quiet, noisy = (simulate(frames, [0, 10_000], PixelModel(shot_hz=hz), 1).array for hz in (0, 60))
    crossings = np.unique(quiet["t"])
    assert len(crossings) == 6
    strays = noisy[np.abs(noisy["t"][:, None] - crossings).min(axis=1) > 1]
    counts = per_pixel(strays)
    assert np.sum(counts > 0) > 1000
    assert counts.max() == 2
    assert np.histogram(strays["t"], 5, (0, 10_000))[0].min() > 300  # shots are anywhere in the interval


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_shot_noise_falls_with_light_to_its_share(share):
    dark, bright = (len(still(v, 1, PixelModel(shot_hz=10, shot_in_bright=share))) for v in (0, 255))
    assert bright / dark == pytest.approx(share / (1 - (1 - share) * 20 / 275), rel=0.06, abs=1e-9)


@pytest.mark.parametrize("name", ["davis346", "prophesee-gen4"])
def test_sensors_noise_rises_as_light_falls_and_is_mostly_on_in_bright_light(name):
    dark, bright = (still(value, 4, preset(name)) for value in (0, 250))
    assert len(dark) > 1.5 * len(bright) > 0
    assert bright["p"].mean() > 0.75
    assert 0.4 < dark["p"].mean() < 0.75


def test_bad_shares_are_named():
    with pytest.raises(NeuvaError, match=r"hot_share = 1\.5; allowed 0 to 1"):
        PixelModel(hot_share=1.5)
    with pytest.raises(NeuvaError, match="shot_in_bright = -1"):
        PixelModel(shot_in_bright=-1)
    with pytest.raises(NeuvaError, match="surround_px"):
        EventSimulator((2, 2), PixelModel(surround_px=float("inf")), 0)
