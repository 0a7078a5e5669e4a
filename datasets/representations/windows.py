"""Windows: which events of a recording go into one frame. Each is a half-open range of rows.

The four ways are those of Tonic's ``ToFrame`` and give the same ranges: see each for the parameter it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import njit

from datasets.events import Events
from neuva import NeuvaError


class Window(Protocol):
    """A way to cut a recording."""

    def ranges(self, events: Events) -> np.ndarray:
        """First row of each window, and the row after its last; int64 [T, 2], T >= 1."""
        ...


@dataclass(frozen=True)
class ByTime:
    """Windows of `window_us` from the first event on, each `window_us - overlap_us` after the one before.

    Whole windows only, but at least one; with `include_incomplete` also the one the recording ends in.
    Tonic: ``time_window``. As there, an event at the very end of the last window is left out.

    Raises:
        NeuvaError: if window_us is below 1 or overlap_us outside 0..window_us - 1.
    """

    window_us: int
    overlap_us: int = 0
    include_incomplete: bool = False

    def __post_init__(self) -> None:
        _check_overlap("us", self.window_us, self.overlap_us)

    def ranges(self, events: Events) -> np.ndarray:
        """See `Window`."""
        stride = self.window_us - self.overlap_us
        windows = _windows(events.t1 - events.t0, self.window_us, stride, self.include_incomplete)
        starts = events.t0 + np.arange(windows) * stride
        return between(events, starts, starts + self.window_us)


@dataclass(frozen=True)
class ByCount:
    """Windows of `events` events, each ``events - overlap`` events after the one before.

    Whole windows only, but at least one; with `include_incomplete` also the shorter one at the end.
    Tonic: ``event_count``.

    Raises:
        NeuvaError: if events is below 1 or overlap outside 0..events - 1.
    """

    events: int
    overlap: int = 0
    include_incomplete: bool = False

    def __post_init__(self) -> None:
        _check_overlap("events", self.events, self.overlap)

    def ranges(self, events: Events) -> np.ndarray:
        """See `Window`."""
        stride = self.events - self.overlap
        starts = np.arange(_windows(len(events), self.events, stride, self.include_incomplete)) * stride
        return _rows(starts, starts + self.events, len(events))


@dataclass(frozen=True)
class TimeBins:
    """`bins` windows of ``L = (t1 - t0) // bins * (1 + overlap)``, each ``L (1 - overlap)`` after the one before.

    Tonic: ``n_time_bins``. As there, what the division leaves over at the end, and so the last event, is left out.

    Raises:
        NeuvaError: if bins is below 1 or overlap outside [0, 1).
    """

    bins: int
    overlap: float = 0.0

    def __post_init__(self) -> None:
        _check_bins(self.bins, self.overlap)

    def ranges(self, events: Events) -> np.ndarray:
        """See `Window`."""
        length = (events.t1 - events.t0) // self.bins * (1 + self.overlap)
        starts = np.arange(self.bins) * (length * (1 - self.overlap))
        first, stop = (events.t0 + np.ceil(each).astype(np.int64) for each in (starts, starts + length))
        return between(events, first, stop)


@dataclass(frozen=True)
class EventBins:
    """`bins` windows of ``n = floor(N // bins * (1 + overlap))`` events, ``floor(n (1 - overlap))`` apart.

    Tonic: ``n_event_bins``. As there, what the division leaves over at the end is left out.

    Raises:
        NeuvaError: if bins is below 1 or overlap outside [0, 1).
    """

    bins: int
    overlap: float = 0.0

    def __post_init__(self) -> None:
        _check_bins(self.bins, self.overlap)

    def ranges(self, events: Events) -> np.ndarray:
        """See `Window`."""
        count = int(len(events) // self.bins * (1 + self.overlap))
        starts = np.arange(self.bins) * int(count * (1 - self.overlap))
        return _rows(starts, starts + count, len(events))


def between(events: Events, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Ranges of the events with ``starts[k] <= t < stops[k]`` (int64 microseconds), int64 [T, 2]."""
    return np.stack([_first_at(events.array, starts), _first_at(events.array, stops)], axis=1)


@njit(cache=True, nogil=True)
def _first_at(events: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Bisection on the records themselves: numpy would copy the strided column of times first."""
    rows = np.empty(len(times), np.int64)
    for k in range(len(times)):
        low, high = 0, len(events)
        while low < high:
            middle = (low + high) // 2
            if events[middle].t < times[k]:
                low = middle + 1
            else:
                high = middle
        rows[k] = low
    return rows


def _windows(length: int, window: int, stride: int, include_incomplete: bool) -> int:
    rest = max(length - window, 0)
    return (-(-rest // stride) if include_incomplete else rest // stride) + 1


def _rows(starts: np.ndarray, stops: np.ndarray, n: int) -> np.ndarray:
    return np.minimum(np.stack([starts, stops], axis=1), n)


def _check_overlap(unit: str, window: int, overlap: int) -> None:
    if window < 1 or not 0 <= overlap < window:
        raise NeuvaError(f"windows of {window} {unit} overlapping by {overlap}: needed 0 <= overlap < window")


def _check_bins(bins: int, overlap: float) -> None:
    if bins < 1 or not 0 <= overlap < 1:
        raise NeuvaError(f"{bins} bins overlapping by {overlap}: needed at least 1 bin and 0 <= overlap < 1")
