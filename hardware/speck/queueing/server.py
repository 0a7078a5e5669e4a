"""One core's queue: first in, first out, one event at work at a time."""

from __future__ import annotations

import numpy as np
from numba import njit

from hardware.speck.queueing.report import CoreLoad
from hardware.speck.queueing.timing import Timing

WINDOW_NS = 10_000_000
"""Over which the peak load is taken, a window every half of it."""

_FREE, _PLACE, _FULL, _FIRST_FULL, _WAIT, _HALF, _IN_HALF, _BEFORE, _PEAK, _LAST = range(10)


class Server:
    """A FIFO and a worker, kept between stretches of events.

    start = max(arrival, end of the event before); end = start + work. An event finds the queue full if `buffer` events
    before it have not been started when it arrives.
    """

    def __init__(self, timing: Timing, *, drop: bool) -> None:
        self._timing, self._drop = timing, drop
        self._starts = np.full(timing.buffer, -1, np.int64)  # of the last events taken in, a ring
        self._state = np.zeros(10, np.int64)
        self._state[_FIRST_FULL] = -1
        self._events = self._work = 0

    def serve(self, arrival: np.ndarray, synapses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Events of one stretch, in the order they arrive.

        Args:
            arrival: int64 [N], nanoseconds, sorted. synapses: int64 [N], how many each reaches.

        Returns:
            When the work on each is done, int64 [N], and which were taken in, bool [N].
        """
        work = self._timing.work_ns(synapses)
        self._events += len(arrival)
        self._work += int(work.sum())
        return _serve(arrival, work, self._drop, self._starts, self._state)

    def load(self, core: int, layer: str, duration_ns: int) -> CoreLoad:
        """What the queue has seen so far, as shares of so long a run."""
        state = self._state
        return CoreLoad(
            core,
            layer,
            self._events,
            self._work / duration_ns if duration_ns else 0.0,
            int(state[_PEAK]) / min(WINDOW_NS, max(duration_ns, int(state[_LAST]) + 1)),
            int(state[_FULL]),
            int(state[_FIRST_FULL]) / 1e3 if state[_FULL] else None,
            int(state[_WAIT]) / 1e3,
        )


@njit(cache=True)
def _serve(
    arrival: np.ndarray, work: np.ndarray, drop: bool, starts: np.ndarray, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    done, kept = np.zeros(len(arrival), np.int64), np.ones(len(arrival), np.bool_)
    for i in range(len(arrival)):
        now = arrival[i]
        half = 2 * now // WINDOW_NS
        if half != state[_HALF]:
            state[_BEFORE] = state[_IN_HALF] if half == state[_HALF] + 1 else 0
            state[_HALF], state[_IN_HALF] = half, 0
        state[_IN_HALF] += work[i]
        state[_PEAK] = max(state[_PEAK], state[_BEFORE] + state[_IN_HALF])
        state[_LAST] = now
        place = state[_PLACE]
        if starts[place] > now:  # the event taken in `buffer` events ago still waits
            state[_FULL] += 1
            if state[_FIRST_FULL] < 0:
                state[_FIRST_FULL] = now
            if drop:
                kept[i] = False
                continue
        start = max(now, state[_FREE])
        state[_WAIT] = max(state[_WAIT], start - now)
        state[_FREE] = start + work[i]
        starts[place] = start
        state[_PLACE] = (place + 1) % len(starts)
        done[i] = state[_FREE]
    return done, kept
