"""Events in memory: a checked, frozen, sorted array of (t, x, y, p)."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from neuva import NeuvaError

log = logging.getLogger(__name__)

EVENT_DTYPE = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
"""t: microseconds of the recording's own clock; x right, y down from the top left; p: 1 ON, 0 OFF."""


@dataclass(frozen=True)
class Events:
    """A stream of camera events and the size of the sensor that gave it.

    `array` has the fields t, x, y, p (`EVENT_DTYPE`), so every Tonic transform takes it.
    `sensor_size` is (width, height) in pixels. Construction checks that t is sorted,
    coordinates lie inside the sensor and p is 0 or 1. An empty stream is valid.

    Raises:
        NeuvaError: names the first row that breaks a rule; `repaired` sorts and drops instead.
    """

    array: np.ndarray
    sensor_size: tuple[int, int]

    def __post_init__(self) -> None:
        if self.array.dtype != EVENT_DTYPE:
            raise NeuvaError(
                f"events have the fields {self.array.dtype}; needed {EVENT_DTYPE}: build them with Events.from_columns"
            )
        width, height = self.sensor_size
        if width < 1 or height < 1:
            raise NeuvaError(f"sensor size {width}x{height} is not a sensor: both sides must be at least 1")
        problem = _first_problem(self.array, self.sensor_size)
        if problem is not None:
            raise NeuvaError(f"{problem}: read with repair=True to sort and drop such events")
        self.array.flags.writeable = False

    @classmethod
    def from_columns(
        cls,
        t: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        p: np.ndarray,
        sensor_size: tuple[int, int],
        *,
        repair: bool = False,
    ) -> Events:
        """Build from four columns; `repair=True` sorts by t and drops what lies outside, and logs how many.

        Raises:
            NeuvaError: if the columns differ in length or break a rule without `repair`.
        """
        if not len(t) == len(x) == len(y) == len(p):
            raise NeuvaError(f"columns differ in length: t {len(t)}, x {len(x)}, y {len(y)}, p {len(p)}")
        if repair:
            t, x, y, p = _repair(np.asarray(t), np.asarray(x), np.asarray(y), np.asarray(p), sensor_size)
        array = np.empty(len(t), EVENT_DTYPE)
        for name, column in (("t", t), ("x", x), ("y", y), ("p", p)):
            narrow = np.iinfo(EVENT_DTYPE[name])
            column = np.asarray(column)
            if column.size and column.dtype != bool and (column.min() < narrow.min or column.max() > narrow.max):
                row = int(np.argmax((column < narrow.min) | (column > narrow.max)))
                raise NeuvaError(f"event {row}: {name} = {column[row]} is out of range")
            array[name] = column
        return cls(array, sensor_size)

    @classmethod
    def empty(cls, sensor_size: tuple[int, int]) -> Events:
        """A stream without events."""
        return cls(np.empty(0, EVENT_DTYPE), sensor_size)

    def __len__(self) -> int:
        return len(self.array)

    @property
    def t0(self) -> int:
        """Time of the first event in microseconds (0 for an empty stream)."""
        return int(self.array["t"][0]) if len(self.array) else 0

    @property
    def t1(self) -> int:
        """Time of the last event in microseconds (0 for an empty stream)."""
        return int(self.array["t"][-1]) if len(self.array) else 0

    def between(self, start: int, stop: int) -> Events:
        """The events with start <= t < stop (microseconds); a view, nothing is copied."""
        first, last = np.searchsorted(self.array["t"], [start, stop])
        return Events(self.array[first:last], self.sensor_size)


def _first_problem(array: np.ndarray, sensor_size: tuple[int, int]) -> str | None:
    width, height = sensor_size
    if len(array) == 0:
        return None
    backwards = np.flatnonzero(np.diff(array["t"]) < 0)
    if len(backwards):
        row = int(backwards[0]) + 1
        return f"event {row}: t = {array['t'][row]} us runs backwards (before it {array['t'][row - 1]})"
    for name, limit in (("x", width), ("y", height), ("p", 2)):
        column = array[name]
        if column.min() < 0 or column.max() >= limit:
            row = int(np.argmax((column < 0) | (column >= limit)))
            return f"event {row}: {name} = {column[row]} is outside 0..{limit - 1}"
    return None


def _repair(
    t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray, sensor_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    width, height = sensor_size
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & ((p == 0) | (p == 1))
    t, x, y, p = t[inside], x[inside], y[inside], p[inside]
    moved = int(np.count_nonzero(np.diff(t) < 0))
    if moved:
        order = np.argsort(t, kind="stable")
        t, x, y, p = t[order], x[order], y[order], p[order]
    dropped = int(len(inside) - np.count_nonzero(inside))
    if dropped or moved:
        log.warning("repaired events: %d dropped, %d steps back in time sorted", dropped, moved)
    return t, x, y, p
