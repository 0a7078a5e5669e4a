"""Events in memory: a checked, frozen, sorted array of (t, x, y, p)."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numba import from_dtype, int64, njit, types, uint8, uint16

from neuva import NeuvaError

log = logging.getLogger(__name__)

EVENT_DTYPE = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
"""t: microseconds of the recording's own clock; x right, y down from the top left; p: 1 ON, 0 OFF."""

BEGINNING = -(2**63)
"""The earliest time there is, in microseconds."""


@dataclass(frozen=True, eq=False)
class Events:
    """A stream of camera events and the size of the sensor that gave it.

    `array` has the fields t, x, y, p (`EVENT_DTYPE`), so every Tonic transform takes it; it is a
    read-only view of what was given. `sensor_size` is (width, height) in pixels. Construction checks
    that t is sorted, coordinates lie inside the sensor and p is 0 or 1. An empty stream is valid.
    Two streams are equal if all their events and their sensor sizes are.

    Raises:
        NeuvaError: names the first row that breaks a rule; `from_columns(..., repair=True)` sorts and drops instead.
    """

    array: np.ndarray
    sensor_size: tuple[int, int]

    def __post_init__(self) -> None:
        width, height = (int(side) for side in self.sensor_size)
        object.__setattr__(self, "sensor_size", (width, height))
        check(self.array, self.sensor_size)
        object.__setattr__(self, "array", _frozen(self.array))

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
        if not repair:
            return cls(_narrowed(columns), sensor_size)
        keep = inside(columns, sensor_size)
        array, moved = time_sorted(_narrowed({name: column[keep] for name, column in columns.items()}))
        dropped = int(np.count_nonzero(~keep))
        if dropped or moved:
            log.warning("repaired events: %d dropped, %d steps back in time sorted", dropped, moved)
        return cls(array, sensor_size)

    @classmethod
    def unchecked(cls, array: np.ndarray, sensor_size: tuple[int, int]) -> Events:
        """Events that are known to keep the rules, because `check` went over them or they are a part of such."""
        events = object.__new__(cls)
        object.__setattr__(events, "sensor_size", sensor_size)
        object.__setattr__(events, "array", _frozen(array))
        return events

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
        """The events with start <= t < stop (microseconds); a view, nothing is copied or checked again."""
        first, last = np.searchsorted(self.array["t"], [start, stop])
        return Events.unchecked(self.array[first:last], self.sensor_size)


def check(array: np.ndarray, sensor_size: tuple[int, int], *, first_row: int = 0, after: int = BEGINNING) -> None:
    """Go over events once: t never runs backwards, x and y lie inside the sensor, p is 0 or 1.

    first_row: number of the first event in messages. after: time of the event before it, in microseconds.

    Raises:
        NeuvaError: names the first row that breaks a rule.
    """
    if array.dtype != EVENT_DTYPE:
        raise NeuvaError(
            f"events have the fields {array.dtype}; needed {EVENT_DTYPE}: build them with Events.from_columns"
        )
    width, height = sensor_size
    if width < 1 or height < 1:
        raise NeuvaError(f"sensor size {width}x{height} is not a sensor: both sides must be at least 1")
    row = _first_bad(np.ascontiguousarray(array), width, height, after)
    if row >= 0:
        before = int(array["t"][row - 1]) if row else after
        problem = _problem(array[row], sensor_size, before)
        raise NeuvaError(f"event {first_row + row}: {problem}: read with repair=True to sort and drop such events")


def inside(columns: np.ndarray | dict[str, np.ndarray], sensor_size: tuple[int, int]) -> np.ndarray:
    """Bool [N]: the event lies inside the sensor and its p is 0 or 1."""
    good = np.ones(len(columns["t"]), bool)
    for name, limit in (("x", sensor_size[0]), ("y", sensor_size[1]), ("p", 2)):
        good &= (columns[name] >= 0) & (columns[name] < limit)
    return good


def time_sorted(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Events in order of t (those of one t keep theirs), and how many steps back in time there were."""
    t = array["t"]
    moved = int(np.count_nonzero(t[1:] < t[:-1]))
    return (array[np.argsort(t, kind="stable")] if moved else array), moved


_FROZEN_EVENTS = types.Array(from_dtype(EVENT_DTYPE), 1, "C", readonly=True)


@njit(int64(_FROZEN_EVENTS, int64, int64, int64), cache=True)  # compiled at import: no first call waits for it
def _first_bad(array: np.ndarray, width: int, height: int, after: int) -> int:
    """Row of the first event that breaks a rule, -1 if none does."""
    bad, before = False, after
    for event in array:  # without a branch, so nearly as fast as memory; below 0 is far above without a sign
        bad |= (event.t < before) | (uint16(event.x) >= width) | (uint16(event.y) >= height) | (uint8(event.p) > 1)
        before = event.t
    if not bad:
        return -1
    for row, event in enumerate(array):
        if event.t < after or not (0 <= event.x < width and 0 <= event.y < height and 0 <= event.p <= 1):
            return row
        after = event.t
    return -1


def _problem(event: np.void, sensor_size: tuple[int, int], before: int) -> str:
    if event["t"] < before:
        return f"t = {event['t']} us runs backwards (before it {before})"
    limits = {"x": sensor_size[0], "y": sensor_size[1], "p": 2}
    name = next(name for name, limit in limits.items() if not 0 <= event[name] < limit)
    return f"{name} = {event[name]} is outside 0..{limits[name] - 1}"


def _frozen(array: np.ndarray) -> np.ndarray:
    view = array.view()  # a view: the caller's own array stays writeable
    view.flags.writeable = False
    return view


def _integers(name: str, column: np.ndarray) -> np.ndarray:
    column = np.asarray(column)
    if column.size == 0:
        return np.empty(0, np.int64)
    if column.ndim != 1 or column.dtype.kind not in "iub":
        raise NeuvaError(
            f"column {name} is {column.dtype} {list(column.shape)}: give one dimension of integers (t in microseconds)"
        )
    return column.astype(np.uint8) if column.dtype == bool else column


def _narrowed(columns: dict[str, np.ndarray]) -> np.ndarray:
    """The columns as one array of events."""
    array = np.empty(len(columns["t"]), EVENT_DTYPE)
    for name, column in columns.items():
        narrow = np.iinfo(EVENT_DTYPE[name])
        if column.size and (column.min() < narrow.min or column.max() > narrow.max):
            row = int(np.argmax((column < narrow.min) | (column > narrow.max)))
            raise NeuvaError(f"event {row}: {name} = {column[row]} is out of range")
        array[name] = column
    return array
