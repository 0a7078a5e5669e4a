from __future__ import annotations

import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.simulator import PRESETS, EventSimulator, PixelModel, preset, simulate
from datasets.simulator.kernels import log_intensity
from neuva import NeuvaError

DATA = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def counts(events, size):
    width, height = size
    out = np.zeros((2, height, width), int)
    np.add.at(out, (events["p"].astype(int), events["y"], events["x"]), 1)
    return out


def reference_counts(frames, theta, keeps_remainder=True):
    """v2e's definition, in numpy: (OFF, ON) counts of each frame; the base is its start and net count."""
    x = np.asarray(frames, float)
    level = np.where(x <= 20, x * math.log(20) / 20, np.log(np.maximum(x, 1)))
    base, out = level[0].copy(), []
    net = np.zeros(level[0].shape)
    for now in level[1:]:
        diff = now - (base + net * theta)
        on = np.floor(np.maximum(diff, 0) / theta + 1e-7)
        off = np.floor(np.maximum(-diff, 0) / theta + 1e-7)
        net += on - off
        if not keeps_remainder:
            base, net = now.copy(), np.zeros_like(net)
        out.append(np.stack([off, on]).astype(int))
    return out


def one_pixel(values, times, model, seed=0):
    frames = [np.full((1, 1), value, np.uint8) for value in values]
    return simulate(frames, times, model, seed).array


@pytest.mark.parametrize("keeps_remainder", [True, False])
def test_ideal_counts_are_v2es_definition(keeps_remainder):
    frames = np.random.default_rng(3).integers(0, 256, (12, 20, 30)).astype(np.uint8)
    simulator = EventSimulator((30, 20), PRESETS["ideal"], 0)
    found = [counts(simulator.feed(frame, 1000 * i), (30, 20)) for i, frame in enumerate(frames)][1:]
    expected = reference_counts(frames, 0.2, keeps_remainder)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)) == keeps_remainder


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=2, max_size=12), st.floats(0.05, 1.0))
def test_ideal_counts_of_any_pixel(values, theta):
    events = one_pixel(values, [10_000 * i for i in range(len(values))], PixelModel(theta_on=theta, theta_off=theta))
    expected = sum(reference_counts(np.array(values).reshape(-1, 1, 1), theta))
    assert [np.sum(events["p"] == 0), np.sum(events["p"] == 1)] == expected.ravel().tolist()


def test_each_crossing_has_its_own_time():
    events = one_pixel([50, 200], [0, 10_000], PRESETS["ideal"])
    rise = math.log(200 / 50)
    assert events["t"].tolist() == [math.ceil(10_000 * k * 0.2 / rise) for k in range(1, 7)]
    busiest_pixel_stamps = [10_000 * k // 6 for k in range(1, 7)]  # what must not come out
    assert events["t"].tolist() != busiest_pixel_stamps


def test_slow_pixel_is_not_stamped_by_a_busy_neighbour():
    frames = [np.array([[100, 50]], np.uint8), np.array([[125, 255]], np.uint8)]  # ln 1.25 = 0.223: one event, late
    events = simulate(frames, [0, 10_000], PRESETS["ideal"], 0).array
    assert events["t"][events["x"] == 0].tolist() == [math.ceil(10_000 * 0.2 / math.log(1.25))]


def test_events_on_the_way_are_taken_back_on_return():
    events = one_pixel([100, 200, 100, 200, 100], range(0, 50_000, 10_000), PRESETS["ideal"])
    assert events["p"].tolist() == ([1] * 3 + [0] * 3) * 2


@pytest.mark.parametrize("name", PRESETS)
def test_sorted_inside_the_interval_and_repeatable(name):
    frames = np.random.default_rng(0).integers(60, 120, (6, 24, 32)).astype(np.uint8)
    first, second = EventSimulator((32, 24), PRESETS[name], 5), EventSimulator((32, 24), PRESETS[name], 5)
    other = EventSimulator((32, 24), PRESETS[name], 6)
    differ = False
    for i, frame in enumerate(frames):
        a, b, c = (simulator.feed(frame, 7_000 + 5_000 * i) for simulator in (first, second, other))
        assert a.tobytes() == b.tobytes()
        differ |= a.tobytes() != c.tobytes()
        if len(a):
            assert 7_000 + 5_000 * (i - 1) < a["t"][0]
            assert a["t"][-1] <= 7_000 + 5_000 * i
        keys = list(zip(a["t"].tolist(), a["y"].tolist(), a["x"].tolist(), a["p"].tolist(), strict=True))
        assert keys == sorted(keys)
    assert differ == (name != "ideal")


@pytest.mark.parametrize("name", PRESETS)
def test_first_frame_sets_the_state_at_any_time(name):
    frames = np.random.default_rng(7).integers(0, 256, (4, 10, 10)).astype(np.uint8)
    streams = []
    for start in (0, -(10**9), 77, 10**14):
        simulator = EventSimulator((10, 10), PRESETS[name], 1)
        assert len(simulator.feed(frames[0], start)) == 0
        events = np.concatenate([simulator.feed(frame, start + 9000 * n) for n, frame in enumerate(frames[1:], 1)])
        events["t"] -= start
        streams.append(events.tobytes())
    assert len(set(streams)) == 1


def test_first_time_stamp_is_free_and_hours_lose_no_microsecond():
    frames = np.random.default_rng(1).integers(0, 256, (4, 10, 10)).astype(np.uint8)
    times = np.arange(4) * 33_333
    early, late = (simulate(frames, times + shift, PRESETS["noisy"], 2).array for shift in (0, 10**14))
    assert len(early) > 0
    assert np.array_equal(early["t"] + 10**14, late["t"])
    assert np.array_equal(early[["x", "y", "p"]], late[["x", "y", "p"]])


def test_refractory_delays_but_does_not_move_the_base():
    model = PixelModel(refractory_us=500)
    events = one_pixel([50, 200, 200, 200, 200], [0, 1000, 2000, 3000, 4000], model)
    first = math.ceil(1000 * 0.2 / math.log(4))
    assert events["t"].tolist() == [first + 500 * k for k in range(6)]  # a base that moved would leave two events


def test_low_pass_follows_its_closed_form():
    dt, values = 1e-3, [50] + [200] * 40
    eps = 2 * math.pi * 30 * dt * 220 / 275
    events = one_pixel(values, [1000 * i for i in range(41)], PixelModel(cutoff_hz=30))
    for n in range(1, 41):
        rise = math.log(4) * (1 - (1 - eps) ** n)
        assert np.sum(events["t"] <= 1000 * n) == math.floor(rise / 0.2)


def test_leak_gives_on_events_at_its_rate():
    frames = [np.full((60, 60), 100, np.uint8)] * 21
    events = simulate(frames, np.arange(21) * 100_000, PixelModel(leak_hz=5, sigma=0.02), 1).array
    pattern = math.exp((0.1 * math.log(10)) ** 2 / 2)  # mean of the log-normal
    assert events["p"].all()
    assert len(events) / 3600 / 2 == pytest.approx(5 * pattern, rel=0.02)
    first_half = np.sum(events["t"] < 1_000_000)
    assert first_half == pytest.approx(len(events) / 2, rel=0.03)  # a sensor at rest has no start-up silence


@pytest.mark.parametrize("value", [0, 235])
def test_shot_noise_rate_falls_with_light(value):
    frames = [np.full((60, 60), value, np.uint8)] * 51
    events = simulate(frames, np.arange(51) * 10_000, PixelModel(shot_hz=20), 1).array
    rate = 20 * (1 - 0.75 * (value + 20) / 275)
    # each polarity at rate / 2, and as many that take the other polarity's back
    for polarity in (0, 1):
        assert np.sum(events["p"] == polarity) / 3600 / 0.5 == pytest.approx(rate, rel=0.05)
    spread = np.bincount(events["t"] // 1000 % 10, minlength=10)
    assert spread.max() < 1.2 * spread.min()  # no pillars at frame times


def test_thresholds_are_drawn_around_theta():
    simulator = EventSimulator((200, 200), PixelModel(theta_on=0.3, sigma=0.03), 0)
    assert simulator._state.theta_on.mean() == pytest.approx(0.3, abs=1e-3)
    assert simulator._state.theta_on.std() == pytest.approx(0.03, rel=0.02)
    assert EventSimulator((200, 200), PixelModel(theta_on=0.01, sigma=0.1), 0)._state.theta_on.min() >= 0.0099


def test_more_events_than_the_buffer_holds():
    frames = [np.zeros((100, 100), np.uint8), np.full((100, 100), 255, np.uint8)]
    events = simulate(frames, [0, 10_000], PRESETS["ideal"], 0)
    assert len(events) == 10_000 * math.floor(math.log(255) / 0.2)


def test_log_intensity_is_continuous_and_exact():
    assert log_intensity(np.array([0, 20, 255])) == pytest.approx([0, math.log(20), math.log(255)], abs=1e-9)


def test_user_mistakes_are_named():
    simulator = EventSimulator((4, 3), PRESETS["ideal"], 0)
    with pytest.raises(NeuvaError, match=r"frame 0 is uint8 \[4, 3\]; needed uint8 \[3, 4\]"):
        simulator.feed(np.zeros((4, 3), np.uint8), 0)
    with pytest.raises(NeuvaError, match="float64"):
        simulator.feed(np.zeros((3, 4)), 0)
    simulator.feed(np.zeros((3, 4), np.uint8), 10)
    with pytest.raises(NeuvaError, match="times must advance"):
        simulator.feed(np.zeros((3, 4), np.uint8), 10)
    with pytest.raises(NeuvaError, match="no frames"):
        simulate([], [], PRESETS["ideal"], 0)
    with pytest.raises(NeuvaError, match="differ in number"):
        simulate([np.zeros((3, 4), np.uint8)], [0, 1], PRESETS["ideal"], 0)
    with pytest.raises(NeuvaError, match="seed -1"):
        EventSimulator((4, 3), PRESETS["ideal"], -1)
    with pytest.raises(NeuvaError, match="sensor of 0x3"):
        EventSimulator((0, 3), PRESETS["ideal"], 0)
    with pytest.raises(NeuvaError, match="theta_on = 0"):
        PixelModel(theta_on=0)
    with pytest.raises(NeuvaError, match="shot_hz = nan"):
        PixelModel(shot_hz=math.nan)
    with pytest.raises(NeuvaError, match="choose one of ideal"):
        preset("v3e")


def real_video():
    """Grey frames as v2e reads them, through OpenCV, scaled to 346x260."""
    path = DATA / "face-video.mp4"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, image = capture.read()
        if not there:
            return frames
        frames.append(cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (346, 260), interpolation=cv2.INTER_AREA))


def test_real_video_gives_what_v2e_gives():
    frames = real_video()
    events = simulate(frames, np.arange(len(frames)) * 33_333, PRESETS["clean"], 0)
    rate = len(events) / (346 * 260) / (len(frames) - 1) * 30
    assert rate == pytest.approx(1.28, rel=0.03)  # v2e 1.6 --dvs_params clean: 1.28 a pixel and second, 47.3 % ON
    assert events.array["p"].mean() == pytest.approx(0.473, abs=0.005)


@pytest.mark.parametrize("keeps_remainder", [True, False])
def test_ideal_counts_of_every_pixel_of_a_real_video(keeps_remainder):
    frames = real_video()
    simulator = EventSimulator((346, 260), PRESETS["ideal"], 0)
    found = [counts(simulator.feed(frame, 33_333 * i), (346, 260)) for i, frame in enumerate(frames)][1:]
    assert sum(map(np.sum, found)) > 100_000
    expected = reference_counts(frames, 0.2, keeps_remainder)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)) == keeps_remainder
