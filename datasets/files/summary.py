"""What is in a stream of events, in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from datasets.events import Events
from datasets.files.stream import EventStream
from neuva import NeuvaError

MOST_PIXELS = 1 << 26  # 600 MB of memory
FINE = 7  # bits below the leading one that a bin tells apart
LONGEST = np.iinfo(np.int64).max
BINS = (64 - FINE) << FINE


@dataclass(frozen=True)
class EventSummary:
    """Numbers of a stream; None where there are too few events to tell.

    format: of the file, None where the events come from none. count: events. on_share: share of ON events.
    start_us, stop_us: times of the first and last event. duration_us: between them. sensor_size: (width, height).
    rate: events per second. rate_per_pixel: events per second and pixel of the whole sensor. active_share: share of
    pixels with at least one event. median_interval_us: median time between two events in a row of one pixel, over
    all pixels: exact up to 255 us, above within 0.4 %, as it is the middle of a bin. The rest is exact.
    """

    format: str | None
    count: int
    on_share: float | None
    start_us: int | None
    stop_us: int | None
    duration_us: int
    sensor_size: tuple[int, int]
    rate: float | None
    rate_per_pixel: float | None
    active_share: float
    median_interval_us: float | None


def describe(events: Events | EventStream) -> EventSummary:
    """Count, polarity, span, rates and spread over the pixels, in one pass and in memory that does not grow.

    Raises:
        NeuvaError: if the sensor has more than `MOST_PIXELS`; and while a stream is read, as `read_events` does.
    """
    width, height = events.sensor_size
    if width * height > MOST_PIXELS:
        name = f"{events.path}: " if isinstance(events, EventStream) else ""
        raise NeuvaError(
            f"{name}a sensor of {width}x{height} has {width * height} pixels; described are at most {MOST_PIXELS}: "
            "write the events again with their sensor's true size"
        )
    seen, last = np.zeros(width * height, np.bool_), np.zeros(width * height, np.int64)
    bins = np.zeros(BINS, np.int64)
    count = on = 0
    start = stop = None
    for piece in (events,) if isinstance(events, Events) else events:
        if not len(piece):
            continue
        array = piece.array
        _intervals(array, width, seen, last, bins)
        count += len(array)
        on += int(np.count_nonzero(array["p"]))
        start = piece.t0 if start is None else start
        stop = piece.t1
    duration = 0 if start is None or stop is None else stop - start
    rate = count / (duration * 1e-6) if duration else None
    return EventSummary(
        format=events.format if isinstance(events, EventStream) else None,
        count=count,
        on_share=on / count if count else None,
        start_us=start,
        stop_us=stop,
        duration_us=duration,
        sensor_size=events.sensor_size,
        rate=rate,
        rate_per_pixel=rate / (width * height) if rate is not None else None,
        active_share=int(seen.sum()) / (width * height),
        median_interval_us=_median(bins),
    )


@njit(cache=True)
def _intervals(events: np.ndarray, width: int, seen: np.ndarray, last: np.ndarray, bins: np.ndarray) -> None:
    """Count the time since each pixel's event before into bins: one a microsecond, then 2 ** FINE an octave."""
    for event in events:
        pixel = np.int64(event.y) * width + event.x
        if seen[pixel]:
            interval = event.t - last[pixel]
            if interval < 0:  # longer than 63 bits
                interval = LONGEST
            octave = 0
            while interval >> octave >= 2 << FINE:
                octave += 1
            bins[(octave << FINE) + (interval >> octave)] += 1
        seen[pixel], last[pixel] = True, event.t


def _median(bins: np.ndarray) -> float | None:
    """Between the two middle ones where their number is even."""
    until = np.cumsum(bins)
    total = int(until[-1])
    if total == 0:
        return None
    middle = np.searchsorted(until, [(total - 1) // 2, total // 2], side="right")
    return float(np.mean([_centre(int(index)) for index in middle]))


def _centre(index: int) -> float:
    octave = max((index >> FINE) - 1, 0)
    first = (index - (octave << FINE)) << octave
    return first + ((1 << octave) - 1) / 2
