"""Time surfaces: when each pixel last spoke, as a time or as a trace that decays since."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np
from numba import njit

from datasets.events import Events
from datasets.representations.grid import GridTransform, check_grid, step_ranges
from neuva import NeuvaError

NEVER = np.iinfo(np.int64).min
"""In a surface of active events: a pixel that had no event yet."""

SMALLEST = float(np.finfo(np.float32).tiny)
"""A trace below it is 0: smaller numbers of float32 are slow and mean nothing."""


def surface_of_active_events(events: Events, dt_us: int, steps: int, start_us: int) -> np.ndarray:
    """Time of the last event of each pixel and polarity at the end of each step, int64 microseconds [T, 2, H, W].

    (Benosman et al., IEEE TNNLS 2014.) Surface k knows the events of ``start_us <= t < start_us + (k + 1) dt_us``;
    a pixel without one holds `NEVER`.

    Raises:
        NeuvaError: if dt_us or steps is below 1.
    """
    check_grid(dt_us, steps)
    width, height = events.sensor_size
    out = np.empty((steps, 2, height, width), np.int64)
    _remember(events.array, step_ranges(events, dt_us, steps, start_us), width, out.reshape(steps, -1))
    return out


@dataclass(frozen=True)
class ToSurfaceOfActiveEvents(GridTransform):
    """`surface_of_active_events` as a Tonic transform; the grid is that of `GridTransform`."""

    def _tensor(self, events: Events, steps: int, start_us: int) -> np.ndarray:
        return surface_of_active_events(events, self.dt_us, steps, start_us)


def time_surface(events: Events, dt_us: int, tau_us: float, steps: int, start_us: int) -> np.ndarray:
    """Time surface with exponential decay at the end of each step, float32 [T, 2, H, W].

    ``S[k, p, y, x] = exp(-(start + (k + 1) dt - t_last) / tau)`` with t_last of `surface_of_active_events`, 0 where
    there is none. The decay is that of HOTS (Lagorce et al., IEEE TPAMI 2017), whose surfaces are patches read at each
    event; these are of the whole sensor and read by the clock, as those of Tonic's ``ToTimesurface``.

    Raises:
        NeuvaError: if dt_us or steps is below 1 or tau_us not above 0.
    """
    check_grid(dt_us, steps)
    _check_decay(tau_us)
    width, height = events.sensor_size
    ranges = step_ranges(events, dt_us, steps, start_us)
    out = np.empty((steps, 2, height, width), np.float32)
    _decay(events.array, ranges, width, start_us, dt_us, tau_us, out.reshape(steps, -1))
    return out


@dataclass(frozen=True)
class ToTimeSurface(GridTransform):
    """`time_surface` as a Tonic transform; the grid is that of `GridTransform`.

    Equal to Tonic's ``ToTimesurface(dt=dt_us, tau=tau_us)`` up to rounding to float32.

    Raises:
        NeuvaError: as `GridTransform`, and if tau_us is not above 0.
    """

    tau_us: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_decay(self.tau_us)

    def _tensor(self, events: Events, steps: int, start_us: int) -> np.ndarray:
        return time_surface(events, self.dt_us, self.tau_us, steps, start_us)


def _check_decay(tau_us: float) -> None:
    if not 0 < tau_us < np.inf:
        raise NeuvaError(f"time surface with a time constant of {tau_us} us: needed above 0")


@njit(cache=True, nogil=True)
def _remember(events: np.ndarray, ranges: np.ndarray, width: int, out: np.ndarray) -> None:
    height, last = out.shape[1] // (2 * width), np.full(out.shape[1], NEVER)
    for k in range(len(ranges)):
        for i in range(ranges[k, 0], ranges[k, 1]):
            event = events[i]
            last[np.uint64((event.p * height + event.y) * width + event.x)] = event.t
        out[k] = last


@njit(cache=True, nogil=True)
def _decay(
    events: np.ndarray, ranges: np.ndarray, width: int, start: int, dt: int, tau: float, out: np.ndarray
) -> None:
    """Traces decay by one factor a step; the exponential is only taken at events."""
    height, trace, factor = out.shape[1] // (2 * width), np.zeros(out.shape[1]), exp(-dt / tau)
    for k in range(len(ranges)):
        surface, end = out[k], start + (k + 1) * dt
        for pixel in range(len(trace)):
            now = trace[pixel] * factor
            now = now if now >= SMALLEST else 0.0
            trace[pixel] = surface[pixel] = now
        for i in range(ranges[k, 0], ranges[k, 1]):
            event = events[i]
            place, now = np.uint64((event.p * height + event.y) * width + event.x), exp((event.t - end) / tau)
            trace[place] = surface[place] = now
