"""Representations that weigh events by their time: voxel grid, event spike tensor, surfaces, temporal binary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.events import Events
from datasets.representations import (
    NEVER,
    ToEventSpikeTensor,
    ToSteps,
    ToSurfaceOfActiveEvents,
    ToTemporalBinary,
    ToTimeSurface,
    ToVoxelGrid,
    event_spike_tensor,
    surface_of_active_events,
    temporal_binary,
    time_surface,
    voxel_grid,
)
from neuva import NeuvaError

SIZE = (5, 4)


@st.composite
def recordings(draw, least=0):
    n = draw(st.integers(least, 30))
    start = draw(st.sampled_from([0, 17, 1_605_537_493_718_345]))
    t = np.sort(draw(st.lists(st.integers(0, 500), min_size=n, max_size=n))).astype(np.int64) + start
    x, y, p = (np.array(draw(st.lists(st.integers(0, s - 1), min_size=n, max_size=n)), int) for s in (*SIZE, 2))
    return Events.from_columns(t, x, y, p, SIZE)


def random_events(n=600, seed=0, span_us=50_000, start=0):
    random = np.random.default_rng(seed)
    t, (x, y, p) = np.sort(random.integers(0, span_us, n)) + start, (random.integers(0, s, n) for s in (*SIZE, 2))
    return Events.from_columns(t, x, y, p, SIZE)


def one_event(t=0, p=1):
    return Events.from_columns(*(np.array([each]) for each in (t, 2, 1, p)), SIZE)


@settings(max_examples=40, deadline=None)
@given(recordings(), st.integers(1, 6), st.sampled_from(["zhu", "tonic"]))
def test_voxel_grid_is_its_equation(events, bins, spacing):
    expected = np.zeros((bins, 1, 4, 5))
    for t, x, y, p in events.array.tolist():
        position = (bins - (spacing == "zhu")) * (t - events.t0) / max(events.t1 - events.t0, 1)
        for b in range(bins):
            expected[b, 0, y, x] += (1 if p else -1) * max(0, 1 - abs(b - position))
    found = ToVoxelGrid(SIZE, bins, spacing)(events.array)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=1e-6)
    assert np.array_equal(found, voxel_grid(events, bins, spacing))


@pytest.mark.parametrize("start", [0, 1_605_537_493_718_345])
def test_voxel_grid_equals_tonics_with_tonics_spacing_only(start):
    tonic = pytest.importorskip("tonic.transforms")
    events = random_events(start=start)
    theirs = tonic.ToVoxelGrid((*SIZE, 2), 5)(events.array)
    assert np.allclose(ToVoxelGrid(SIZE, 5, "tonic")(events.array), theirs, rtol=1e-6, atol=1e-6)
    assert not np.allclose(ToVoxelGrid(SIZE, 5)(events.array), theirs, atol=0.1)


def test_every_event_counts_in_full_in_zhus_voxel_grid_but_not_in_tonics():
    events = Events.from_columns(np.array([0, 30, 70, 100]), *(np.array([0, 1, 2, 3]),) * 2, np.ones(4, int), SIZE)
    assert voxel_grid(events, 4).sum() == pytest.approx(4)
    assert voxel_grid(events, 4)[-1, 0, 3, 3] == 1
    assert voxel_grid(events, 4, "tonic")[-1, 0, 3, 3] == 0  # the last event is lost


@settings(max_examples=40, deadline=None)
@given(recordings(), st.integers(1, 200), st.integers(1, 6), st.integers(-50, 400), st.sampled_from(["count", "time"]))
def test_event_spike_tensor_is_its_equation(events, dt, steps, offset, measurement):
    start = events.t0 + offset
    expected = np.zeros((steps, 2, 4, 5))
    for t, x, y, p in events.array.tolist():
        if start <= t < start + steps * dt:
            f = (t - start) / (max(steps - 1, 1) * dt) if measurement == "time" else 1
            for n in range(steps):
                expected[n, p, y, x] += f * max(0, 1 - abs(t - start - n * dt) / dt)
    found = event_spike_tensor(events, dt, steps, start, measurement)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=1e-6)
    assert np.array_equal(ToEventSpikeTensor(SIZE, dt, steps, start, measurement)(events.array), found)


@settings(max_examples=30, deadline=None)
@given(recordings(), st.integers(1, 700))
def test_event_spike_tensor_of_a_whole_recording_loses_no_event(events, dt):
    tensor = ToEventSpikeTensor((*SIZE, 2), dt)(events.array)
    counts = ToSteps(SIZE, 1000, steps=1, kind="counts")(events.array)[0]
    assert np.allclose(tensor.sum(axis=0), counts, atol=1e-5)


def test_event_spike_tensor_with_signs_is_a_voxel_grid():
    random = np.random.default_rng(4)
    t = np.concatenate([[0], np.sort(random.integers(0, 40_000, 500)), [40_000]])
    x, y, p = (random.integers(0, side, len(t)) for side in (*SIZE, 2))
    events = Events.from_columns(t, x, y, p, SIZE)
    tensor = event_spike_tensor(events, 10_000, 5, 0)
    assert np.allclose(tensor[:, 1] - tensor[:, 0], voxel_grid(events, 5)[:, 0], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(recordings(), st.integers(1, 200), st.integers(1, 6), st.integers(-50, 400), st.sampled_from([3.0, 80.0, 1e9]))
def test_surfaces_are_their_equations(events, dt, steps, offset, tau):
    start = events.t0 + offset
    last = np.full((steps, 2, 4, 5), NEVER)
    for k in range(steps):
        for t, x, y, p in events.array.tolist():
            if start <= t < start + (k + 1) * dt:
                last[k, p, y, x] = t
    assert np.array_equal(surface_of_active_events(events, dt, steps, start), last)
    assert np.array_equal(ToSurfaceOfActiveEvents(SIZE, dt, steps=steps, start_us=start)(events.array), last)
    ends = start + dt * np.arange(1, steps + 1)[:, None, None, None]
    expected = np.where(last == NEVER, 0, np.exp(-np.where(last == NEVER, 0, ends - last) / tau))
    found = time_surface(events, dt, tau, steps, start)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-37)
    assert np.array_equal(ToTimeSurface(SIZE, dt, tau, steps=steps, start_us=start)(events.array), found)


@pytest.mark.parametrize(("dt", "tau", "start"), [(5000, 20_000, 0), (700, 50, 3), (90_000, 10_000, 1_605_537_493_718)])
def test_time_surface_equals_tonics(dt, tau, start):
    tonic = pytest.importorskip("tonic.transforms")
    array = random_events(start=start).array
    ours, theirs = ToTimeSurface(SIZE, dt, tau)(array), tonic.ToTimesurface((*SIZE, 2), dt, tau)(array)
    assert ours.shape == theirs.shape
    assert np.allclose(ours, theirs, rtol=1e-6, atol=1e-37)
    read_at_the_start = theirs * np.exp(dt / tau)  # what must not come out
    assert not np.allclose(ours, read_at_the_start)


def test_old_traces_vanish_and_never_crawl_in_denormal_numbers():
    events = Events.from_columns(np.array([0, 10_000_000]), *(np.array([0, 1]),) * 3, SIZE)
    surfaces = ToTimeSurface(SIZE, 10_000, 20_000)(events.array)
    assert surfaces[0, 0, 0, 0] > 0
    assert surfaces[-1, 0, 0, 0] == 0
    assert not np.any((surfaces > 0) & (surfaces < np.finfo(np.float32).tiny))


@settings(max_examples=40, deadline=None)
@given(recordings(), st.integers(1, 60), st.integers(1, 24), st.one_of(st.none(), st.integers(1, 3)))
def test_temporal_binary_transform_is_the_function_of_the_steps(events, dt, bits, frames):
    found = ToTemporalBinary(SIZE, dt, bits, frames)(events.array)
    assert found.dtype == np.float32
    steps = ToSteps(SIZE, dt, steps=len(found) * bits)(events.array)
    assert np.array_equal(found, temporal_binary(steps, bits))
    assert len(found) == (frames or max(1, (events.t1 - events.t0) // (dt * bits)))


def test_temporal_binary_is_tonics_with_its_bits_turned_round():
    tonic = pytest.importorskip("tonic.transforms")
    array, bits = random_events(120).array, 4
    whole = (array["t"][-1] - array["t"][0]) // (2500 * bits)
    steps = tonic.ToFrame((*SIZE, 1), time_window=2500)(tonic.MergePolarities()(array))[: whole * bits]
    turned = steps.reshape(whole, bits, 1, 4, 5)[:, ::-1].reshape(steps.shape)
    to_numbers = tonic.ToBinaRep(n_frames=int(whole), n_bits=bits)
    ours = ToTemporalBinary(SIZE, 2500, bits)(array)
    assert np.array_equal(ours, to_numbers(turned))
    assert not np.array_equal(ours, to_numbers(steps))  # Tonic's first step weighs most


@pytest.mark.parametrize(
    "transform",
    [ToVoxelGrid(SIZE, 3), ToEventSpikeTensor(SIZE, 10), ToTimeSurface(SIZE, 10, 20), ToTemporalBinary(SIZE, 10, 2)],
    ids=lambda transform: type(transform).__name__,
)
def test_no_event_and_one_event(transform):
    nothing = transform(Events.empty(SIZE).array)
    assert nothing.shape[2:] == (4, 5)
    assert not nothing.any()
    for t in (0, 2**50):
        found = transform(one_event(t).array)
        assert np.argwhere(found)[:, 2:].tolist() == [[1, 2]]
        assert np.isfinite(found).all()


def test_mistakes_are_named():
    events = random_events(10)
    for wrong, message in [
        (lambda: voxel_grid(events, 0), "needed at least 1"),
        (lambda: ToVoxelGrid(SIZE, 3, "even"), "choose zhu or tonic"),
        (lambda: event_spike_tensor(events, 0, 1, 0), "at least 1"),
        (lambda: ToEventSpikeTensor(SIZE, 1, measurement="sum"), "choose count or time"),
        (lambda: time_surface(events, 1, 0, 1, 0), "needed above 0"),
        (lambda: ToTimeSurface(SIZE, 1, float("nan")), "needed above 0"),
        (lambda: ToTimeSurface(SIZE, 1, 5, steps=0), "at least 1"),
        (lambda: surface_of_active_events(events, 1, 0, 0), "at least 1"),
        (lambda: ToSurfaceOfActiveEvents((4, 4), 1)(events.array), r"outside 0\.\.3"),
        (lambda: ToTemporalBinary(SIZE, 10, 25), "allowed 1 to 24"),
        (lambda: ToTemporalBinary(SIZE, 0), "at least 1"),
    ]:
        with pytest.raises(NeuvaError, match=message):
            wrong()
