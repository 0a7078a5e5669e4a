"""Events in memory: a checked, frozen, sorted array of (t, x, y, p)."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from neuva import NeuvaError

log = logging.getLogger(__name__)

EVENT_DTYPE = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
"""t: microseconds of the recording's own clock; x right, y down from the top left; p: 1 ON, 0 OFF."""


@dataclass(frozen=True, eq=False)
class Events:
    """A stream of camera events and the size of the sensor that gave it.

    `array` has the fields t, x, y, p (`EVENT_DTYPE`), so every Tonic transform takes it; it is a
    read-only view of what was given. `sensor_size` is (width, height) in pixels. Construction checks
    that t is sorted, coordinates lie inside the sensor and p is 0 or 1. An empty stream is valid.
    Two streams are equal if all their events and their sensor sizes are.

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
        width, height = (int(side) for side in self.sensor_size)
        object.__setattr__(self, "sensor_size", (width, height))
        if width < 1 or height < 1:
            raise NeuvaError(f"sensor size {width}x{height} is not a sensor: both sides must be at least 1")
        problem = _first_problem(self.array, self.sensor_size)
        if problem is not None:
            raise NeuvaError(f"{problem}: read with repair=True to sort and drop such events")
        frozen = self.array.view()  # a view: the caller's own array stays writeable
        frozen.flags.writeable = False
        object.__setattr__(self, "array", frozen)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Events):
            return NotImplemented
        return self.sensor_size == other.sensor_size and np.array_equal(self.array, other.array)

    __hash__ = None  # type: ignore[assignment]  # equal by content of a large array: no key of a dict

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
        """Build from four columns of integers (p may be bool); `repair=True` sorts by t and drops what lies outside.

        How many events were dropped and sorted is logged.

        Raises:
            NeuvaError: if the columns are no integers, differ in length or break a rule without `repair`.
        """
        columns = {name: _integers(name, column) for name, column in (("t", t), ("x", x), ("y", y), ("p", p))}
        if len({len(column) for column in columns.values()}) > 1:
            raise NeuvaError(
                "columns differ in length: " + ", ".join(f"{name} {len(column)}" for name, column in columns.items())
            )
        if repair:
            columns = _repair(columns, sensor_size)
        array = np.empty(len(columns["t"]), EVENT_DTYPE)
        for name, column in columns.items():
            narrow = np.iinfo(EVENT_DTYPE[name])
            if column.size and (column.min() < narrow.min or column.max() > narrow.max):
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


def _integers(name: str, column: np.ndarray) -> np.ndarray:
    column = np.asarray(column)
    if column.size == 0:
        return np.empty(0, np.int64)
    if column.ndim != 1 or column.dtype.kind not in "iub":
        raise NeuvaError(
            f"column {name} is {column.dtype} {list(column.shape)}: give one dimension of integers (t in microseconds)"
        )
    return column.astype(np.uint8) if column.dtype == bool else column


def _first_problem(array: np.ndarray, sensor_size: tuple[int, int]) -> str | None:
    width, height = sensor_size
    if len(array) == 0:
        return None
    t = array["t"]
    backwards = t[1:] < t[:-1]  # not np.diff, which overflows between far times
    if backwards.any():
        row = int(np.argmax(backwards)) + 1
        return f"event {row}: t = {t[row]} us runs backwards (before it {t[row - 1]})"
    for name, limit in (("x", width), ("y", height), ("p", 2)):
        column = array[name]
        if column.min() < 0 or column.max() >= limit:
            row = int(np.argmax((column < 0) | (column >= limit)))
            return f"event {row}: {name} = {column[row]} is outside 0..{limit - 1}"
    return None


def _repair(columns: dict[str, np.ndarray], sensor_size: tuple[int, int]) -> dict[str, np.ndarray]:
    inside = np.ones(len(columns["t"]), bool)
    for name, limit in (("x", sensor_size[0]), ("y", sensor_size[1]), ("p", 2)):
        inside &= (columns[name] >= 0) & (columns[name] < limit)
    columns = {name: column[inside] for name, column in columns.items()}
    moved = int(np.count_nonzero(columns["t"][1:] < columns["t"][:-1]))
    if moved:
        order = np.argsort(columns["t"], kind="stable")
        columns = {name: column[order] for name, column in columns.items()}
    dropped = int(np.count_nonzero(~inside))
    if dropped or moved:
        log.warning("repaired events: %d dropped, %d steps back in time sorted", dropped, moved)
    return columns
