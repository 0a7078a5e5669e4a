"""Event-driven emulator of Speck: one event after the other, as the chip's cores work.

Rules (sinabs documentation, "Troubleshooting and Tips" and "Overview" of Speck):

1. An event that reaches a core adds its kernel to the neurons in reach; v is a 16-bit word and saturates.
2. Each of them with v >= threshold then sends exactly one spike, and v -= threshold or v = 0. Above two thresholds a
   rest stays above the threshold, silent until the next event reaches the neuron, whatever that event's weight.
3. v is never below `low`.
4. Sum-pooling gives a spike the address of its window; each spike stays an event of its own. Rows and columns beyond
   the last whole window are dropped.
5. At each tick of the leak clock (every `dt_us`, the first at 0) the bias is added to all neurons as an event's weight
   would be, before any event of the same time. Whether the chip lets a tick alone cause a spike is not documented; it
   does here, as in the clocked emulator. A tick takes no time, nor does the reset of all states at every
   `reset_every` steps, which comes before the tick.
6. A core hears all its sources, and a source sends to all that hear it.

Order. A core takes events first in, first out, as they arrive; what it gives depends on the order of its input alone,
so the cores can be worked through one by one. The neurons that one event makes spike send in the order of their rows,
then columns, then features (an assumption). Where spikes of several sources meet at the same time they come depth
first, as the chip works (sinabs documentation, "Specksim"): each is followed to its end before the next is sent
(hardware.speck.paths, with what it assumes of branches and ticks).

Time. Without a queue no core takes time: a spike has the time of the event or tick that caused it. With one
(hardware.speck.queueing) an event waits until the core is free, and all spikes it causes are sent when the work on it
is done; they reach the next core at once, and leave the chip in the order they are sent. The leak clock goes on ticking
in a core that still works off what was late at the end of the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.program import ChipProgram, Shape
from hardware.speck.core import Core
from hardware.speck.input import events_heard
from hardware.speck.paths import BORN, CHANNEL, NUMBER, PATH, TIME, Paths
from hardware.speck.queueing import Latency, Queue, QueueReport
from hardware.speck.results import core_of, finished, gathered
from hardware.speck.synapses import synapses
from hardware.trace import CoreCounts, Spikes, Trace
from neuva import NeuvaError

STRETCH = 1 << 16
"""Input events `run` hands over at a time, so that what lies between the cores stays small."""


@dataclass(frozen=True)
class Fed:
    """What a stretch of events gave: events int64 [N, 4] of (t, channel, y, x) in the order sent.

    sent: of the last layer, after its pooling. spikes: per layer, at the neurons' own addresses.
    latency: int64 [M, 2], number of an input event (from 0, in order) and the nanoseconds from it until the last layer
    was done with a spike it had caused.
    """

    sent: np.ndarray
    spikes: dict[str, np.ndarray]
    latency: np.ndarray


class EventEmulator:
    """A program on an emulated chip that keeps its state between stretches of events.

    It holds states and, with a queue, the events on their way between cores: nothing that grows with what it was fed.

    Raises:
        NeuvaError: if the program does not suit a Speck chip.
    """

    def __init__(self, program: ChipProgram, queue: Queue | None = None) -> None:
        self.program = program
        self._queue = queue
        self._fed = self._until_ns = 0
        self._drained = False
        self._paths = Paths(program)
        self._cores = [Core(layer, program, self._paths, queue) for layer in synapses(program)]

    def feed(self, events: np.ndarray, until_us: int) -> Fed:
        """Process events in the order given, then what the clocks do before `until_us`.

        With a queue, spikes that arrive at a core later than `until_us` are left for the next stretch.

        Args:
            events: int64 [N, 4] of (t, channel, y, x), t sorted and before until_us, none before the last until_us.

        Raises:
            NeuvaError: if they are not, lie outside the input, or come after `drain`.
        """
        if self._drained:
            raise NeuvaError("events after the emulator was drained: make a new one")
        self._check(events, until_us)
        self._until_ns = until_us * 1000
        rows = np.zeros((len(events), self._paths.width), np.int64)
        rows[:, TIME] = rows[:, BORN] = events[:, 0] * 1000
        rows[:, NUMBER] = np.arange(self._fed, self._fed + len(events))
        rows[:, CHANNEL:PATH] = events[:, 1:]
        self._paths.sent(rows, "input", self._fed)
        self._fed += len(events)
        return self._advance(rows, self._until_ns)

    def drain(self) -> Fed:
        """Work off what is still on its way between cores; the end, nothing can be fed any more."""
        self._drained = True
        return self._advance(np.zeros((0, self._paths.width), np.int64), np.iinfo(np.int64).max)

    def _check(self, events: np.ndarray, until_us: int) -> None:
        shape, last = self.program.input.shape, self._until_ns // 1000
        if events.ndim != 2 or events.shape[1] != 4 or events.dtype.kind != "i":
            raise NeuvaError(f"events are {events.dtype} {list(events.shape)}, needed integers [N, 4] (t, c, y, x)")
        if until_us < last:
            raise NeuvaError(
                f"events until {until_us} us after the emulator was fed until {last} us: feed them in order"
            )
        early = np.diff(events[:, 0], prepend=last) < 0
        bad = early | (events[:, 0] >= until_us) | ((events[:, 1:] < 0) | (events[:, 1:] >= shape)).any(axis=1)
        if bad.any():
            row = int(bad.argmax())
            raise NeuvaError(
                f"event {row} {events[row].tolist()} is outside {last} <= t < {until_us} us, earlier than the one "
                f"before or outside the input {shape}: feed sorted events of the program's input"
            )

    def _advance(self, rows: np.ndarray, before: int) -> Fed:
        sent, spikes = {"input": rows}, {}
        for core in self._cores:
            taken = core.take([sent[name] for name in core.layer.sources], before)
            own = core.work(taken, self._until_ns)
            spikes[core.layer.name] = _plain(own)
            sent[core.layer.name] = core.pooled(own)
        last = taken[taken[:, NUMBER] >= 0]  # a tick's spikes answer no input event
        latency = np.stack([last[:, NUMBER], last[:, TIME] - last[:, BORN]], axis=1)
        return Fed(_plain(sent[self._cores[-1].layer.name]), spikes, latency)

    @property
    def counts(self) -> tuple[CoreCounts, ...]:
        """Exact counts since the start; updates are states written: by synaptic operations and by ticks."""
        return tuple(
            CoreCounts(core_of(self.program, core.layer.name), core.layer.name, core.synops, core.updates, core.spikes)
            for core in self._cores
        )

    @property
    def saturations(self) -> dict[str, int]:
        """How often a state left its 16 bits and was cut, per layer where it happened."""
        return {core.layer.name: core.saturated for core in self._cores if core.saturated}

    def report(self, latency: np.ndarray) -> QueueReport:
        """What the queues saw so far, with the latencies of all that was fed.

        Raises:
            NeuvaError: if there are no queues.
        """
        if self._queue is None:
            raise NeuvaError("an emulator without queues has nothing to report: give it a Queue")
        loads = [
            core.server.load(core_of(self.program, core.layer.name), core.layer.name, self._until_ns)
            for core in self._cores
            if core.server
        ]
        return QueueReport(self._queue, Latency.of(latency), tuple(loads))


def stretches(emulator: EventEmulator, stream: np.ndarray, duration: int) -> Iterator[Fed]:
    """What a sorted stream gives, fed piece by piece in constant memory, and then what was still on its way."""
    cuts = [*np.unique(stream[STRETCH::STRETCH, 0]).tolist(), duration]
    ends = np.searchsorted(stream[:, 0], cuts).tolist()
    for begin, end, until in zip([0, *ends], ends, cuts, strict=False):
        yield emulator.feed(stream[begin:end], until)
    yield emulator.drain()


def run(
    program: ChipProgram,
    events: np.ndarray,
    *,
    start_us: int = 0,
    duration_us: int | None = None,
    strict: bool = False,
    queue: Queue | None = None,
) -> Trace:
    """Run a clip from zero state.

    Args:
        program: for a chip of the Speck family.
        events: structured array with fields t, x, y, p of the input's size, or of the sensor's where the program has a
            camera; or counts [T, C, H, W] per step of dt, whose events all come at the start of their step.
        start_us: the recording's time at which the run starts.
        duration_us: length of the run; without it the steps of dt up to the last event, or T steps.
        strict: a state that saturates is an error instead of a count in `notes["saturations"]`.
        queue: how long cores take; what came of it is in `notes["queue"]` (QueueReport). Without it they take no time.
            Spikes still on their way at the end are sent too, later than the run's duration.

    Returns:
        Trace with backend "emulator-events", spikes stamped in microseconds since start_us; the outputs from the
        spikes counted in steps of dt.

    Raises:
        NeuvaError: if program and events do not suit each other or a Speck chip; with `strict`, at a saturation.
    """
    stream = events_heard(program, events, start_us)
    last = int(stream[-1, 0]) if len(stream) else -1
    steps = len(events) if events.dtype.names is None else last // program.dt_us + 1
    duration = steps * program.dt_us if duration_us is None else duration_us
    if duration <= last:
        raise NeuvaError(f"the run ends at {duration} us but an event is at {last} us: cut the events or run longer")
    emulator = EventEmulator(program, queue)
    parts = list(stretches(emulator, stream, duration))
    saturations = emulator.saturations
    if strict and saturations:
        raise NeuvaError(
            f"states left their 16 bits ({saturations} times per layer), allowed 0: scale weights and threshold down"
        )
    spikes = {"input": _spikes(program.input.shape, stream)}
    for layer in program.layers:
        spikes[layer.name] = _spikes(layer.out_shape, np.concatenate([part.spikes[layer.name] for part in parts]))
    notes: dict[str, Any] = {"saturations": saturations} if saturations else {}
    if queue:
        notes["queue"] = emulator.report(np.concatenate([part.latency for part in parts])).to_dict()
    sent = _spikes(program.layers[-1].sent_shape, np.concatenate([part.sent for part in parts]))
    return finished(program, "emulator-events", duration, sent, spikes, emulator.counts, {}, notes)


def _plain(rows: np.ndarray) -> np.ndarray:
    """(t in microseconds, channel, y, x)."""
    return np.concatenate([rows[:, :1] // 1000, rows[:, CHANNEL:PATH]], axis=1)


def _spikes(shape: Shape, events: np.ndarray) -> Spikes:
    neuron = np.ravel_multi_index((events[:, 1], events[:, 2], events[:, 3]), shape)
    return gathered(shape, events[:, 0], neuron, np.ones(len(events), np.int32))
