"""`neuva bench representations`: events to tensors, beside Tonic's transforms of the same definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tonic.transforms as tonic

from datasets.events import Events
from datasets.representations import (
    ByCount,
    ByTime,
    EventBins,
    TimeBins,
    ToEventSpikeTensor,
    ToFrames,
    ToSteps,
    ToSurfaceOfActiveEvents,
    ToTemporalBinary,
    ToTimeSurface,
    ToVoxelGrid,
)
from experiments.benchmarks.measure import Benchmark, Cell, Table, best_of
from neuva import NeuvaError

SENSOR = (346, 260)
EVENTS = 1_000_000
SPAN_US = 1_000_000
DT_US = 20_000
BITS = 8

Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Contest:
    """A representation, ours and Tonic's where it has it; `alike` is how much they may differ by rounding."""

    name: str
    ours: Transform
    theirs: Transform | None = None
    alike: float = 0.0


def run(update: Callable[..., None]) -> Benchmark:
    """Time each representation of a million events, after checking that Tonic's is the same.

    Raises:
        NeuvaError: if it is not.
    """
    recordings = {"even": _even(), "edges": _edges()}
    measured: list[list[Cell]] = []
    for done, contest in enumerate(CONTESTS):
        update(done, len(CONTESTS))
        row: list[Cell] = [contest.name]
        for name, events in recordings.items():
            row += _measure(contest, name, events.array.copy())  # Tonic may write into it
        measured.append(row)
    update(len(CONTESTS), len(CONTESTS))
    columns = [f"{name}: {what}" for name in recordings for what in ("neuva Mev/s", "Tonic Mev/s", "ratio")]
    notes = (
        f"{EVENTS:,} events in {SPAN_US / 1e6:g} s on {SENSOR[0]}x{SENSOR[1]} pixels, one thread, checks of the input "
        "included; -: Tonic has none. Before it is timed, each is compared with Tonic's and must be the same.",
    )
    return Benchmark("representations", [Table("Events to tensors", ["representation", *columns], measured, notes)])


def _measure(contest: Contest, name: str, events: np.ndarray) -> list[Cell]:
    ours = len(events) / best_of(lambda: contest.ours(events), seconds=0.3) / 1e6
    if contest.theirs is None:
        return [ours, None, None]
    mine, other = contest.ours(events), contest.theirs(events)
    if mine.shape != other.shape or not np.allclose(mine, other, rtol=contest.alike, atol=contest.alike):
        raise NeuvaError(f"{contest.name} of events {name} is not Tonic's: a bug in one of the two; nothing is timed")
    theirs = len(events) / best_of(lambda: contest.theirs(events), seconds=0.3, least=2) / 1e6  # type: ignore[misc]
    return [ours, theirs, ours / theirs]


def _even() -> Events:
    """Events anywhere at any time: no two neighbours in memory."""
    random = np.random.default_rng(0)
    t = np.sort(random.integers(0, SPAN_US, EVENTS))
    t[0], t[-1] = 0, SPAN_US
    x, y, p = (random.integers(0, side, EVENTS) for side in (*SENSOR, 2))
    return Events.from_columns(t, x, y, p, SENSOR)


def _edges() -> Events:
    """Three upright edges that cross the sensor once a second, ON before, OFF behind: what a moving thing gives."""
    random = np.random.default_rng(1)
    t = np.sort(random.integers(0, SPAN_US, EVENTS))
    t[0], t[-1] = 0, SPAN_US
    p = random.integers(0, 2, EVENTS)
    x = (
        t * SENSOR[0] // SPAN_US
        + random.integers(0, 3, EVENTS) * (SENSOR[0] // 3)
        + 4 * p
        + random.integers(0, 4, EVENTS)
    )
    return Events.from_columns(t, x % SENSOR[0], random.integers(0, SENSOR[1], EVENTS), p, SENSOR)


def _tonic_binary(events: np.ndarray) -> np.ndarray:
    """Tonic's way to the temporal binary representation: one polarity, its bits turned round, frame by frame."""
    size, frames = (*SENSOR, 1), SPAN_US // DT_US
    steps = tonic.ToFrame(size, time_window=DT_US // BITS)(tonic.MergePolarities()(events))
    turned = steps.reshape(frames, BITS, *steps.shape[1:])[:, ::-1].reshape(steps.shape)
    return tonic.ToBinaRep(n_frames=frames, n_bits=BITS)(turned)


_SIZE = (*SENSOR, 2)
CONTESTS = (
    Contest("frames, 20 ms", ToFrames(SENSOR, ByTime(DT_US)), tonic.ToFrame(_SIZE, time_window=DT_US)),
    Contest(
        "frames, 20 ms overlapping by half",
        ToFrames(SENSOR, ByTime(DT_US, DT_US // 2)),
        tonic.ToFrame(_SIZE, time_window=DT_US, overlap=DT_US // 2),
    ),
    Contest("frames, 20,000 events", ToFrames(SENSOR, ByCount(20_000)), tonic.ToFrame(_SIZE, event_count=20_000)),
    Contest("frames, 50 bins of time", ToFrames(SENSOR, TimeBins(50)), tonic.ToFrame(_SIZE, n_time_bins=50)),
    Contest("frames, 50 bins of events", ToFrames(SENSOR, EventBins(50)), tonic.ToFrame(_SIZE, n_event_bins=50)),
    Contest(
        "binary steps, 10 ms",
        ToSteps(SENSOR, 10_000),
        tonic.Compose([tonic.ToFrame(_SIZE, time_window=10_000), lambda frames: (frames > 0).astype(np.uint8)]),
    ),
    Contest("voxel grid, 10 bins", ToVoxelGrid(SENSOR, 10, "tonic"), tonic.ToVoxelGrid(_SIZE, 10), 1e-5),
    Contest(
        "time surface, 20 ms", ToTimeSurface(SENSOR, DT_US, 30_000), tonic.ToTimesurface(_SIZE, DT_US, 30_000), 1e-6
    ),
    Contest("temporal binary, 8 bits", ToTemporalBinary(SENSOR, DT_US // BITS, BITS), _tonic_binary),
    Contest("event spike tensor, 20 ms", ToEventSpikeTensor(SENSOR, DT_US)),
    Contest("surface of active events, 20 ms", ToSurfaceOfActiveEvents(SENSOR, DT_US)),
)
