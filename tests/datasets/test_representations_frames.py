from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.events import EVENT_DTYPE, Events
from datasets.representations import (
    ByCount,
    ByTime,
    EventBins,
    TimeBins,
    ToFrames,
    ToSteps,
    ToTimeSurface,
    ToVoxelGrid,
    to_frames,
    to_steps,
)
from datasets.structured import as_events
from neuva import NeuvaError

SIZE = (8, 6)


def random_events(n, seed=0, span_us=50_000, start=0):
    random = np.random.default_rng(seed)
    t, (x, y, p) = np.sort(random.integers(0, span_us, n)) + start, (random.integers(0, s, n) for s in (*SIZE, 2))
    return Events.from_columns(t, x, y, p, SIZE)


TONICS = [
    (ByTime(5000), {"time_window": 5000}),
    (ByTime(5000, 1500), {"time_window": 5000, "overlap": 1500}),
    (ByTime(7000, 0, True), {"time_window": 7000, "include_incomplete": True}),
    (ByTime(7000, 6999, True), {"time_window": 7000, "overlap": 6999, "include_incomplete": True}),
    (ByTime(10**6), {"time_window": 10**6}),
    (ByCount(37), {"event_count": 37}),
    (ByCount(37, 12), {"event_count": 37, "overlap": 12}),
    (ByCount(37, 12, True), {"event_count": 37, "overlap": 12, "include_incomplete": True}),
    (ByCount(10**6), {"event_count": 10**6}),
    (TimeBins(7), {"n_time_bins": 7}),
    (TimeBins(7, 0.25), {"n_time_bins": 7, "overlap": 0.25}),
    (EventBins(7), {"n_event_bins": 7}),
    (EventBins(7, 0.25), {"n_event_bins": 7, "overlap": 0.25}),
]


@pytest.mark.parametrize(("window", "theirs"), TONICS, ids=str)
@pytest.mark.parametrize(("n", "span_us", "start"), [(1, 1, 0), (400, 50_000, 0), (333, 21_000, 1_605_537_493_718_345)])
def test_frames_equal_tonics(window, theirs, n, span_us, start):
    tonic = pytest.importorskip("tonic.transforms")
    array = random_events(n, 3, span_us, start).array
    ours = ToFrames(SIZE, window)(array)
    assert ours.dtype == np.int16
    assert np.array_equal(ours, tonic.ToFrame((*SIZE, 2), **theirs)(array))
    assert np.array_equal(ToFrames(SIZE, window, "binary")(array), ours > 0)


@pytest.mark.parametrize(("window", "frames"), [(ByTime(10), 1), (ByCount(10), 1), (TimeBins(4), 4), (EventBins(4), 4)])
def test_no_events_give_empty_frames_of_the_sensors_shape(window, frames):
    found = ToFrames(SIZE, window)(Events.empty(SIZE).array)
    assert found.shape == (frames, 2, 6, 8)
    assert not found.any()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=40), st.integers(1, 80), st.data())
def test_windows_of_time_are_what_their_definition_says(times, window, data):
    overlap = data.draw(st.integers(0, window - 1))
    t = np.sort(np.array(times, np.int64))
    zeros = np.zeros(len(t), int)
    events = Events.from_columns(t, zeros, zeros, zeros, (1, 1))
    ranges = ByTime(window, overlap, include_incomplete=True).ranges(events)
    for k, (first, last) in enumerate(ranges):
        begin = (t[0] if len(t) else 0) + k * (window - overlap)
        assert np.array_equal(t[first:last], t[(t >= begin) & (t < begin + window)])
    if len(t):
        assert begin + window >= t[-1]  # nothing is left but the last instant, as in Tonic


def test_frames_and_steps_are_one_thing():
    events = random_events(500, 5, start=777)
    whole = (events.t1 - events.t0) // 4000
    assert np.array_equal(to_frames(events, ByTime(4000)), to_steps(events, 4000, whole, events.t0, "counts"))


def test_a_last_window_cut_short_is_only_there_when_asked_for():
    events = random_events(100, 6)
    assert to_frames(events, ByCount(30)).sum() == 90
    assert to_frames(events, ByCount(30, include_incomplete=True)).sum() == 100


def tonic_layout(events):
    array = np.empty(len(events), [("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])
    for name in "xytp":
        array[name] = events.array[name]
    return array


def test_any_layout_of_the_fields_will_do():
    events = random_events(200, 7)
    wide = events.array.astype([("t", np.int64), ("x", np.int64), ("y", np.uint32), ("p", np.int8)])
    expected = ToSteps(SIZE, 1000)(events.array)
    for array in (tonic_layout(events), wide, np.repeat(events.array, 2)[::2], events.array.copy()):
        assert np.array_equal(ToSteps(SIZE, 1000)(array), expected)


def test_what_is_checked_is_neither_copied_nor_changed():
    array = random_events(50).array.copy()
    seen = as_events(array, SIZE).array
    assert np.shares_memory(seen, array)
    assert not seen.flags.writeable
    assert array.flags.writeable


@pytest.mark.parametrize(
    ("field", "row", "value", "message"),
    [
        ("x", 3, 8, r"event 3: x = 8 is outside 0\.\.7"),
        ("y", 4, -1, r"event 4: y = -1 is outside 0\.\.5"),
        ("p", 5, -1, r"event 5: p = -1 is outside 0\.\.1"),
        ("t", 6, -1, r"event 6: t = -1 us runs backwards"),
    ],
)
def test_bad_events_are_named(field, row, value, message):
    array = random_events(10).array.copy()
    array[field][row] = value
    with pytest.raises(NeuvaError, match=message):
        ToFrames(SIZE, ByTime(1000))(array)


def test_mistakes_are_named():
    with pytest.raises(NeuvaError, match="with the fields t, x, y, p"):
        ToFrames(SIZE, ByTime(10))(np.zeros(5))
    with pytest.raises(NeuvaError, match="with the fields t, x, y, p"):
        as_events(np.zeros((2, 2), EVENT_DTYPE), SIZE)
    with pytest.raises(NeuvaError, match="not a sensor"):
        as_events(np.zeros(0, EVENT_DTYPE), (0, 5))
    with pytest.raises(NeuvaError, match="of integers"):
        as_events(np.zeros(3, [(name, float) for name in "txyp"]), SIZE)
    for wrong in (lambda: ByTime(0), lambda: ByTime(5, 5), lambda: ByCount(5, -1), lambda: ByCount(0)):
        with pytest.raises(NeuvaError, match="needed 0 <= overlap < window"):
            wrong()
    for wrong in (lambda: TimeBins(0), lambda: TimeBins(3, 1.0), lambda: EventBins(3, -0.1)):
        with pytest.raises(NeuvaError, match="needed at least 1 bin"):
            wrong()
    with pytest.raises(NeuvaError, match="choose binary or counts"):
        ToFrames(SIZE, ByTime(10), "mean")


def test_transforms_can_go_to_a_worker():
    events = random_events(100)
    transform = ToFrames((*SIZE, 2), ByCount(10))
    assert np.array_equal(pickle.loads(pickle.dumps(transform))(events.array), transform(events.array))


def test_a_real_recording_gives_what_tonic_gives():
    tonic = pytest.importorskip("tonic.transforms")
    folder = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
    path = folder / "gesture-dvs128.bin"
    if not path.exists():
        pytest.skip(f"no real recordings in {folder}: set NEUVA_REAL_DATA")
    rows = np.fromfile(path, np.uint8).reshape(-1, 5).astype(np.int64)
    t, size = (rows[:, 2] & 127) << 16 | rows[:, 3] << 8 | rows[:, 4], (128, 128)
    array = Events.from_columns(t, rows[:, 0], rows[:, 1], rows[:, 2] >> 7, size, repair=True).array
    assert len(array) == 63_471
    for ours, theirs in [
        (ToFrames(size, ByTime(10_000)), tonic.ToFrame((*size, 2), time_window=10_000)),
        (ToFrames(size, EventBins(20, 0.1)), tonic.ToFrame((*size, 2), n_event_bins=20, overlap=0.1)),
        (ToVoxelGrid(size, 9, "tonic"), tonic.ToVoxelGrid((*size, 2), 9)),
        (ToTimeSurface(size, 20_000, 30_000), tonic.ToTimesurface((*size, 2), 20_000, 30_000)),
    ]:
        assert np.allclose(ours(array), theirs(array), rtol=1e-6, atol=1e-6)
