"""What is in a stream of events, in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.events import Events


@dataclass(frozen=True)
class EventSummary:
    """Numbers of a stream; None where there are too few events to tell.

    count: events. on_share: share of ON events. start_us, stop_us: times of the first and last event.
    duration_us: between them. sensor_size: (width, height). rate: events per second.
    rate_per_pixel: events per second and pixel of the whole sensor. active_share: share of pixels with
    at least one event. median_interval_us: median time between two events in a row of one pixel, over all pixels.
    """

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


def describe(events: Events) -> EventSummary:
    """Count, polarity, span, rates and spread over the pixels of a stream."""
    array, (width, height) = events.array, events.sensor_size
    count, duration = len(array), events.t1 - events.t0
    rate = count / (duration * 1e-6) if duration else None
    pixel = array["y"].astype(np.int64) * width + array["x"]
    order = np.argsort(pixel, kind="stable")  # by pixel, in time within each
    same = pixel[order][1:] == pixel[order][:-1]
    intervals = np.diff(array["t"][order])[same]
    return EventSummary(
        count=count,
        on_share=float(array["p"].mean()) if count else None,
        start_us=events.t0 if count else None,
        stop_us=events.t1 if count else None,
        duration_us=duration,
        sensor_size=events.sensor_size,
        rate=rate,
        rate_per_pixel=rate / (width * height) if rate is not None else None,
        active_share=(count - int(same.sum())) / (width * height),
        median_interval_us=float(np.median(intervals)) if len(intervals) else None,
    )
