"""A recording at rising rates on the event-driven emulator with queues: where a Speck's cores reach their ceiling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hardware.program import ChipProgram
from hardware.speck import event_driven
from hardware.speck.event_driven import EventEmulator
from hardware.speck.input import events_heard
from hardware.speck.queueing import Queue, QueueReport
from neuva import NeuvaError

FACTORS = tuple(2.0**k for k in range(-2, 8))
"""By which the recording's time is compressed: from a quarter of its speed to 128 times it."""


@dataclass(frozen=True)
class Rung:
    """The recording at one rate, and what the queues saw.

    rate: events a second that reach the first cores: what the camera layer lets through and, for "binary" input, the
    first of a pixel, polarity and step of dt.
    """

    factor: float
    rate: float
    report: QueueReport


def stress(
    program: ChipProgram,
    events: np.ndarray,
    queue: Queue,
    update: Callable[[int, int], None],
    factors: Sequence[float] = FACTORS,
) -> list[Rung]:
    """The events (t in microseconds since the start) with their time divided by each factor, each from zero state.

    Raises:
        NeuvaError: if the program is not for a Speck, events do not suit it, or none reaches its first cores.
    """
    if program.family != "speck":
        raise NeuvaError(f"{program.target} is clocked and has no queues: give a program for a Speck")
    rungs = []
    for number, factor in enumerate(factors):
        faster = events.copy()
        faster["t"] = np.floor(events["t"] / factor)
        stream = events_heard(program, faster)
        if not len(stream):
            raise NeuvaError("the recording holds no events that reach the chip's cores: give one that does")
        until = int(stream[-1, 0]) + 1
        emulator = EventEmulator(program, queue)
        latency = np.concatenate([fed.latency for fed in event_driven.stretches(emulator, stream, until)])
        rungs.append(Rung(factor, len(stream) / until * 1e6, emulator.report(latency)))
        update(number + 1, len(factors))
    return rungs


def ceilings(rungs: Sequence[Rung]) -> dict[str, float]:
    """Events a second at which each core's offered load passes 1, interpolated over the rates; absent if never."""
    found = {}
    rates = np.array([rung.rate for rung in rungs])
    for index, core in enumerate(rungs[0].report.cores):
        loads = np.array([rung.report.cores[index].load for rung in rungs])
        above = np.flatnonzero(loads >= 1)
        if len(above) and above[0] > 0:
            two = slice(above[0] - 1, above[0] + 1)
            found[core.layer] = float(np.exp(np.interp(0, np.log(loads[two]), np.log(rates[two]))))
        elif len(above):
            found[core.layer] = float(rates[0] / loads[0])
    return found
