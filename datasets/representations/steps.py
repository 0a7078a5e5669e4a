"""Steps of a clocked network: frames on a fixed grid of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.events import Events
from datasets.representations.frames import Kind, check_kind, gather
from datasets.representations.windows import between
from datasets.structured import as_events
from neuva import NeuvaError


def to_steps(events: Events, dt_us: int, steps: int, start_us: int, kind: Kind = "binary") -> np.ndarray:
    """Events of [start_us, start_us + steps dt_us) sorted into steps, [T, 2, H, W] with channels (OFF, ON).

    Step k holds the events with ``start_us + k dt_us <= t < start_us + (k + 1) dt_us``. "binary": uint8, 1 where there
    is any event (at most one spike a pixel, polarity and step); "counts": int16, their number, at most 32,767.

    Raises:
        NeuvaError: if dt_us or steps is below 1 or kind is neither.
    """
    check_grid(dt_us, steps)
    check_kind(kind)
    return gather(events, step_ranges(events, dt_us, steps, start_us), kind)


@dataclass(frozen=True)
class ToSteps:
    """`to_steps` as a Tonic transform: structured array [N] with t, x, y, p to [T, 2, H, W].

    sensor_size: (width, height), or Tonic's (width, height, 2).
    steps: T; None: all whole steps of the recording from its start on, but at least one, as Tonic's
        ``ToFrame(time_window=dt_us)``.
    start_us: None: the first event's time.

    Raises:
        NeuvaError: as `to_steps`, and for events outside the sensor.
    """

    sensor_size: tuple[int, ...]
    dt_us: int
    steps: int | None = None
    start_us: int | None = None
    kind: Kind = "binary"

    def __post_init__(self) -> None:
        check_grid(self.dt_us, self.steps)
        check_kind(self.kind)

    def __call__(self, events: np.ndarray) -> np.ndarray:
        """The steps, [T, 2, H, W]."""
        checked = as_events(events, self.sensor_size)
        start, steps = grid_of(checked, self.dt_us, self.steps, self.start_us)
        return to_steps(checked, self.dt_us, steps, start, self.kind)


def check_grid(dt_us: int, steps: int | None) -> None:
    """Refuse steps of no length, and a number of steps (if one is given) below 1."""
    if dt_us < 1 or (steps is not None and steps < 1):
        raise NeuvaError(f"{'all' if steps is None else steps} steps of {dt_us} us: both must be at least 1")


def grid_of(events: Events, dt_us: int, steps: int | None, start_us: int | None) -> tuple[int, int]:
    """Start and number of steps: as given, or from the first event on and all whole ones, but at least one."""
    start = events.t0 if start_us is None else start_us
    return start, max(1, (events.t1 - start) // dt_us) if steps is None else steps


def step_ranges(events: Events, dt_us: int, steps: int, start_us: int) -> np.ndarray:
    """Range of rows of each step, int64 [T, 2]."""
    starts = start_us + np.arange(steps) * dt_us
    return between(events, starts, starts + dt_us)
