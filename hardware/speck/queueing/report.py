"""How a run is to be timed, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from hardware.speck.queueing.timing import Timing
from neuva import NeuvaError


@dataclass(frozen=True)
class Queue:
    """That cores take time, and what becomes of an event that finds the queue full.

    full: "wait" lets it wait all the same, and counts it: there the chip would stall. "drop" loses it, as the chip's
    congestion balancer does, and all that would have followed from it.

    Raises:
        NeuvaError: if `full` is neither.
    """

    timing: Timing = field(default_factory=Timing.load)
    full: Literal["wait", "drop"] = "wait"

    def __post_init__(self) -> None:
        if self.full not in ("wait", "drop"):
            raise NeuvaError(f'events that find a queue full "{self.full}": allowed are "wait" and "drop"')


@dataclass(frozen=True)
class CoreLoad:
    """What one core's queue saw.

    events: that reached it.
    load: the offered load, all work that the run brings it as a share of the run, also what reaches it after the end
        as cores before it are late; above 1 it cannot keep up.
    peak_load: the work that reached it in the busiest 10 ms (windows begin every 5 ms), as a share of these; of the
        time until the run's end and the last arrival, if that is shorter.
    full: events that found its queue full: where the chip would stall, or the events dropped.
    first_full_us: when the first of them came, None if none did. longest_wait_us: before the work on an event began.
    """

    core: int
    layer: str
    events: int
    load: float
    peak_load: float
    full: int
    first_full_us: float | None
    longest_wait_us: float


@dataclass(frozen=True)
class Latency:
    """Microseconds from an input event until the last layer is done with all that came of it.

    events: input events of which anything reached the last layer; the figures are None without any.
    """

    events: int
    mean_us: float | None
    median_us: float | None
    p99_us: float | None
    most_us: float | None

    @classmethod
    def of(cls, rows: np.ndarray) -> Latency:
        """The distribution over input events, the longest of each, of rows int64 [M, 2] of (number, nanoseconds)."""
        if not len(rows):
            return cls(0, None, None, None, None)
        number, nanoseconds = rows[np.lexsort((rows[:, 1], rows[:, 0]))].T
        us = nanoseconds[np.diff(number, append=-1) != 0] / 1e3
        middle, high = (float(value) for value in np.quantile(us, [0.5, 0.99]))
        return cls(len(us), float(us.mean()), middle, high, float(us.max()))


@dataclass(frozen=True)
class QueueReport:
    """A timed run: latency, load of each core, and what was full first."""

    queue: Queue
    latency: Latency
    cores: tuple[CoreLoad, ...]

    @property
    def first_full(self) -> CoreLoad | None:
        """The core whose queue was full first: where and when the chip would stall or drop; None if none was."""
        crowded = [core for core in self.cores if core.first_full_us is not None]
        return min(crowded, key=lambda core: core.first_full_us or 0.0, default=None)

    def to_dict(self) -> dict[str, Any]:
        """For a trace's notes: plain values."""
        return asdict(self)
