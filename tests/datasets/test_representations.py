from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.events import Events
from datasets.representations import ToSteps, ToSurfaceOfActiveEvents, ToTimeSurface, temporal_binary, to_steps
from neuva import NeuvaError

SIZE = (8, 6)


def random_events(n, seed=0, span_us=50_000):
    random = np.random.default_rng(seed)
    columns = (np.sort(random.integers(0, span_us, n)), *(random.integers(0, side, n) for side in (*SIZE, 2)))
    return Events.from_columns(*columns, SIZE)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9000), st.integers(1, 30), st.integers(-20_000, 60_000))
def test_steps_are_what_a_loop_counts(seed, dt, steps, start):
    events = random_events(200, seed)
    expected = np.zeros((steps, 2, 6, 8), int)
    for t, x, y, p in events.array.tolist():
        if start <= t < start + dt * steps:
            expected[(t - start) // dt, p, y, x] += 1
    found = to_steps(events, dt, steps, start, "counts")
    assert found.dtype == np.int16
    assert np.array_equal(found, expected)
    binary = to_steps(events, dt, steps, start, "binary")
    assert binary.dtype == np.uint8
    assert np.array_equal(binary, expected > 0)


def test_channels_are_off_then_on():
    events = Events.from_columns(np.array([5]), np.array([3]), np.array([2]), np.array([1]), SIZE)
    assert np.argwhere(to_steps(events, 10, 1, 0)).tolist() == [[0, 1, 2, 3]]


def test_counts_saturate():
    n = 40_000
    events = Events.from_columns(np.zeros(n, int), np.zeros(n, int), np.zeros(n, int), np.zeros(n, int), SIZE)
    assert to_steps(events, 10, 1, 0, "counts").max() == 32_767
    assert to_steps(events, 10, 1, 0, "binary").max() == 1


@pytest.mark.parametrize(("seed", "span_us"), [(0, 50_000), (1, 3_000), (2, 71_234)])
def test_transform_equals_tonics_to_frame(seed, span_us):
    transforms = pytest.importorskip("tonic.transforms")
    array = random_events(400, seed, span_us).array
    theirs = transforms.ToFrame(sensor_size=(*SIZE, 2), time_window=5000)(array)
    assert np.array_equal(ToSteps((*SIZE, 2), 5000, kind="counts")(array), theirs)
    chain = transforms.Compose([transforms.RandomFlipLR((*SIZE, 2), p=1.0), ToSteps(SIZE, 5000, steps=3)])
    assert chain(array.copy()).shape == (3, 2, 6, 8)


def test_transform_of_no_events():
    assert ToSteps(SIZE, 1000)(Events.empty(SIZE).array).sum() == 0
    assert ToSteps(SIZE, 1000, steps=4)(Events.empty(SIZE).array).shape == (4, 2, 6, 8)


@pytest.mark.parametrize("kind", [ToSteps, ToTimeSurface, ToSurfaceOfActiveEvents])
def test_the_grid_of_time_is_the_same_whatever_is_read_by_it(kind):
    array, own = random_events(400).array, {"tau_us": 3000.0} if kind is ToTimeSurface else {}
    span = int(array["t"][-1] - array["t"][0])
    assert kind(SIZE, 7000, **own)(array).shape == (span // 7000, 2, 6, 8)
    assert len(kind(SIZE, 10**6, **own)(array)) == 1
    start = int(array["t"][100])
    late = kind(SIZE, 7000, steps=3, start_us=start, **own)
    assert np.array_equal(late(array), kind(SIZE, 7000, steps=3, **own)(array[array["t"] >= start]))
    assert np.array_equal(pickle.loads(pickle.dumps(late))(array), late(array))
    with pytest.raises(AttributeError):
        late.steps = 4


def test_temporal_binary_reads_steps_as_a_number():
    steps = np.zeros((9, 2, 1, 1), np.uint8)
    steps[0, 0] = steps[2, 1] = steps[4, 0] = steps[4, 1] = 1
    frames = temporal_binary(steps, 4)
    assert frames.dtype == np.float32
    assert frames.ravel() == pytest.approx([(1 + 4) / 15, 1 / 15])
    first_weighs_most = [(8 + 2) / 15, 8 / 15]  # what must not come out
    assert frames.ravel() != pytest.approx(first_weighs_most)
    assert temporal_binary(np.ones((8, 2, 1, 1), np.uint8), 8).item() == 1.0


def test_mistakes_are_named():
    events = random_events(10)
    with pytest.raises(NeuvaError, match="at least 1"):
        to_steps(events, 0, 5, 0)
    with pytest.raises(NeuvaError, match="choose binary or counts"):
        to_steps(events, 10, 5, 0, "mean")
    with pytest.raises(NeuvaError, match="at least 1"):
        ToSteps(SIZE, 10, steps=0)
    with pytest.raises(NeuvaError, match=r"outside 0\.\.3"):
        ToSteps((4, 6), 10)(random_events(100).array)
    with pytest.raises(NeuvaError, match="allowed 1 to 24"):
        temporal_binary(np.zeros((9, 2, 1, 1)), 0)
    with pytest.raises(NeuvaError, match="take more steps"):
        temporal_binary(np.zeros((3, 2, 1, 1)), 8)
