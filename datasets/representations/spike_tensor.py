"""Event spike tensor: measurements of events, convolved with a kernel and sampled on a grid of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit

from datasets.events import Events
from datasets.representations.grid import check_grid
from datasets.structured import as_events
from neuva import NeuvaError

Measurement = Literal["count", "time"]


def event_spike_tensor(
    events: Events, dt_us: int, steps: int, start_us: int, measurement: Measurement = "count"
) -> np.ndarray:
    """Event spike tensor (Gehrig et al., ICCV 2019) with the trilinear kernel, float32 [T, 2, H, W].

    ``S[n, p, y, x] = sum_i f_i max(0, 1 - |t_i - t_n| / dt)`` over the events i of pixel (x, y) and polarity p with
    ``start <= t_i < start + T dt``, sampled at ``t_n = start + n dt``: n = 0 .. T - 1. In x and y the kernel falls on
    the pixel itself. f = 1 ("count"), or the time ``(t_i - start) / ((T - 1) dt)`` from 0 at the first sample to 1 at
    the last ("time", the measurement of the paper's best results; for T = 1 in units of dt).
    With the box kernel in place of the trilinear one it is `to_steps`.

    Raises:
        NeuvaError: if dt_us or steps is below 1 or measurement is neither.
    """
    _check(dt_us, steps, measurement)
    width, height = events.sensor_size
    tensor = np.zeros((steps, 2 * height * width), np.float64)  # single precision would lose small sums of many events
    inside = events.between(start_us, start_us + steps * dt_us)
    _sample(inside.array, width, start_us, dt_us, measurement == "time", tensor)
    return tensor.astype(np.float32).reshape(steps, 2, height, width)


@dataclass(frozen=True)
class ToEventSpikeTensor:
    """`event_spike_tensor` as a Tonic transform: structured array [N] with t, x, y, p to float32 [T, 2, H, W].

    sensor_size: (width, height), or Tonic's (width, height, 2).
    steps: T; None: as many as let each event count in full, so that the sum over T is what each pixel measured.
    start_us: None: the first event's time.

    Raises:
        NeuvaError: as `event_spike_tensor`, and for events outside the sensor.
    """

    sensor_size: tuple[int, ...]
    dt_us: int
    steps: int | None = None
    start_us: int | None = None
    measurement: Measurement = "count"

    def __post_init__(self) -> None:
        _check(self.dt_us, self.steps, self.measurement)

    def __call__(self, events: np.ndarray) -> np.ndarray:
        """The tensor, float32 [T, 2, H, W]."""
        checked = as_events(events, self.sensor_size)
        start = checked.t0 if self.start_us is None else self.start_us
        steps = max(1, -((start - checked.t1) // self.dt_us) + 1) if self.steps is None else self.steps
        return event_spike_tensor(checked, self.dt_us, steps, start, self.measurement)


def _check(dt_us: int, steps: int | None, measurement: str) -> None:
    check_grid(dt_us, steps)
    if measurement not in ("count", "time"):
        raise NeuvaError(f"event spike tensor of {measurement!r}: choose count or time")


@njit(cache=True, nogil=True)
def _sample(events: np.ndarray, width: int, start: int, dt: int, of_time: bool, tensor: np.ndarray) -> None:
    height, last = tensor.shape[1] // (2 * width), max(len(tensor) - 1, 1)
    for i in range(len(events)):
        event = events[i]
        pixel = np.uint64((event.p * height + event.y) * width + event.x)
        n, rest = (event.t - start) // dt, (event.t - start) % dt
        later = rest / dt
        measured = (n + later) / last if of_time else 1.0
        tensor[n, pixel] += measured * (1.0 - later)
        if n + 1 < len(tensor):
            tensor[n + 1, pixel] += measured * later
