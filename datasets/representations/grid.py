"""A fixed grid of time: its rules, the rows of each step, and the transforms that read events by it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from datasets.events import Events
from datasets.representations.windows import between
from datasets.structured import as_events
from neuva import NeuvaError


@dataclass(frozen=True)
class GridTransform(ABC):
    """A Tonic transform that reads events step by step: structured array [N] with t, x, y, p to [T, 2, H, W].

    sensor_size: (width, height), or Tonic's (width, height, 2).
    dt_us: length of a step.
    steps: T; None: all whole steps of the recording from its start on, but at least one, as Tonic's
        ``ToFrame(time_window=dt_us)``.
    start_us: None: the first event's time.

    Raises:
        NeuvaError: if dt_us or steps is below 1, and for events outside the sensor.
    """

    sensor_size: tuple[int, ...]
    dt_us: int
    steps: int | None = field(default=None, kw_only=True)
    start_us: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_grid(self.dt_us, self.steps)

    def __call__(self, events: np.ndarray) -> np.ndarray:
        """The tensor, [T, 2, H, W]."""
        checked = as_events(events, self.sensor_size)
        start, steps = grid_of(checked, self.dt_us, self.steps, self.start_us)
        return self._tensor(checked, steps, start)

    @abstractmethod
    def _tensor(self, events: Events, steps: int, start_us: int) -> np.ndarray:
        """The representation on this grid."""


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
