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
   does here, as in the clocked emulator.

Order. A core takes events first in, first out. As cores stand in a chain, each hears one sender only, and what a core
gives depends on the order of its own input alone: working core by core, as here, gives the same spikes as following
each event depth first. The neurons that one event makes spike send in the order of their rows, then columns, then
features; the chip's own order is not documented.

Time. A spike has the time of the event or tick that caused it: no core takes time, none is ever busy. Queues, delays
and drops would come in between two cores, where `EventEmulator.feed` hands the spikes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hardware.program import ChipProgram, Shape
from hardware.speck.input import events_of_camera, events_of_counts
from hardware.speck.kernels import run_events
from hardware.speck.results import core_of, finished, gathered
from hardware.speck.synapses import Synapses, synapses
from hardware.trace import CoreCounts, Spikes, Trace
from neuva import NeuvaError


@dataclass
class _Core:
    """A layer's state and what it has done so far."""

    layer: Synapses
    v: np.ndarray
    next_tick: int = 0
    synops: int = 0
    updates: int = 0
    spikes: int = 0
    saturated: int = 0


@dataclass(frozen=True)
class Fed:
    """What a stretch of events gave: events int64 [N, 4] of (t, channel, y, x) in the order sent.

    spikes: per layer, at the neurons' own addresses. sent: of the last layer, after its pooling.
    """

    sent: np.ndarray
    spikes: dict[str, np.ndarray] = field(default_factory=dict)


class EventEmulator:
    """A program on an emulated chip that keeps its state between stretches of events.

    Raises:
        NeuvaError: if the program does not suit a Speck chip.
    """

    def __init__(self, program: ChipProgram) -> None:
        self.program = program
        self._cores = []
        for layer in synapses(program):
            f, h, w = layer.layer.out_shape
            self._cores.append(_Core(layer, np.zeros((h * w, f), np.int32)))

    def feed(self, events: np.ndarray, until_us: int) -> Fed:
        """Process events in the order given, then the ticks before `until_us`.

        Args:
            events: int64 [N, 4] of (t, channel, y, x), t sorted and before until_us.
        """
        spikes = {}
        for core in self._cores:
            own = _process(core, events, self.program.dt_us, until_us)
            spikes[core.layer.name] = own
            events = _pooled(own, core.layer)  # a model of queues would delay or drop events here
        return Fed(events, spikes)

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


def run(
    program: ChipProgram,
    events: np.ndarray,
    *,
    start_us: int = 0,
    duration_us: int | None = None,
    strict: bool = False,
) -> Trace:
    """Run a clip from zero state.

    Args:
        program: for a chip of the Speck family.
        events: structured array with fields t, x, y, p of the input's size, or counts [T, C, H, W] per step of dt,
            whose events all come at the start of their step.
        start_us: the recording's time at which the run starts.
        duration_us: length of the run; without it the steps of dt up to the last event, or T steps.
        strict: a state that saturates is an error instead of a count in `notes["saturations"]`.

    Returns:
        Trace with backend "emulator-events", spikes stamped in microseconds since start_us; valence and arousal from
        the spikes counted in steps of dt.

    Raises:
        NeuvaError: if program and events do not suit each other or a Speck chip; with `strict`, at a saturation.
    """
    dense = events.dtype.names is None
    stream = events_of_counts(program, events) if dense else events_of_camera(program, events, start_us)
    last = int(stream[-1, 0]) if len(stream) else -1
    steps = len(events) if dense else last // program.dt_us + 1
    duration = steps * program.dt_us if duration_us is None else duration_us
    if duration <= last:
        raise NeuvaError(f"the run ends at {duration} us but an event is at {last} us: cut the events or run longer")
    emulator = EventEmulator(program)
    fed = emulator.feed(stream, duration)
    saturations = emulator.saturations
    if strict and saturations:
        raise NeuvaError(
            f"states left their 16 bits ({saturations} times per layer), allowed 0: scale weights and threshold down"
        )
    spikes = {"input": _spikes(program.input.shape, stream)}
    spikes |= {layer.name: _spikes(layer.out_shape, fed.spikes[layer.name]) for layer in program.layers}
    notes = {"saturations": saturations} if saturations else {}
    sent = _spikes(program.layers[-1].sent_shape, fed.sent)
    return finished(program, "emulator-events", duration, sent, spikes, emulator.counts, {}, notes)


def _process(core: _Core, events: np.ndarray, period: int, until: int) -> np.ndarray:
    """Events through one core; gives its spikes as (t, channel, y, x)."""
    layer = core.layer
    _, h, w = layer.layer.out_shape
    fired, synops, ticks, saturated = run_events(
        events,
        layer.weight,
        (h, w, *layer.stride, *layer.padding),
        layer.bias,
        (layer.neuron.threshold, layer.neuron.low, layer.neuron.reset == "zero"),
        (core.next_tick, period, until),
        core.v,
    )
    core.next_tick += int(ticks) * period
    core.synops += int(synops)
    core.updates += int(synops) + int(ticks) * layer.layer.neurons
    core.spikes += len(fired)
    core.saturated += int(saturated)
    return np.stack([fired[:, 0], *np.unravel_index(fired[:, 1], layer.layer.out_shape)], axis=1)


def _pooled(events: np.ndarray, layer: Synapses) -> np.ndarray:
    """Addresses after sum-pooling, order kept."""
    pool, (_, height, width) = layer.layer.pool, layer.layer.sent_shape
    if pool == 1:
        return events
    moved = events // np.array([1, 1, pool, pool])
    return moved[(moved[:, 2] < height) & (moved[:, 3] < width)]


def _spikes(shape: Shape, events: np.ndarray) -> Spikes:
    neuron = np.ravel_multi_index((events[:, 1], events[:, 2], events[:, 3]), shape)
    return gathered(shape, events[:, 0], neuron, np.ones(len(events), np.int32))
