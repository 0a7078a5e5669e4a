"""Whether cores keep up: the synaptic operations a second of a run against what a core can do.

A core beyond its ceiling stalls the chip, and nothing tells (sinabs documentation, tips for training). What a core can
do is not published: the ceiling is `queueing.Timing`'s, an assumption said to be one there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hardware.energy.model import check_trace
from hardware.program import ChipProgram
from hardware.rules import Finding
from hardware.speck.queueing import Timing
from hardware.speck.results import core_of, merged, pooled
from hardware.speck.synapses import Synapses, synapses
from hardware.trace import Spikes, Trace

WINDOW_US = 100_000
"""Over which the peak is taken, a window every half of it: long against a core's queue, short against a gesture."""


@dataclass(frozen=True)
class CoreRate:
    """A core's work in a run.

    synops, peak: synaptic operations a second, of the whole run and of its busiest window (of the run, if shorter).
    load: share of the busiest window that the core would be at work.
    ceiling, event_ns: the operations a second, and the nanoseconds an event costs besides, taken for it.
    """

    core: int
    layer: str
    synops: float
    peak: float
    load: float
    ceiling: float
    event_ns: int


def rates(program: ChipProgram, trace: Trace, timing: Timing | None = None) -> list[CoreRate]:
    """What each core does a second, counted from the spikes that reach it, borders exact.

    Raises:
        NeuvaError: if the trace is of another program.
    """
    check_trace(trace, program)
    timing = timing or Timing.load()
    sent = {"input": trace.spikes["input"]}
    found = []
    for layer in synapses(program):
        heard = merged([sent[name] for name in layer.sources])
        found.append(_rate(layer, heard, core_of(program, layer.name), trace.duration_us, timing))
        sent[layer.name] = pooled(trace.spikes[layer.name], layer.layer.pool)
    return found


def synops_per_second(found: Iterable[CoreRate]) -> list[Finding]:
    """Cores that would not keep up with a run's busiest window."""
    return [
        Finding(
            "synops_per_second",
            "warning",
            f"layer {rate.layer}",
            f"{rate.peak:,.0f} synaptic operations/s at the busiest, {rate.load:.0%} of what a core can do",
            f"{rate.ceiling:,.0f}/s (assumed, none is published) less {rate.event_ns} ns an event",
            "fewer features, a smaller kernel or a larger stride here, or fewer spikes before it",
        )
        for rate in found
        if rate.load > 1
    ]


def _rate(layer: Synapses, heard: Spikes, core: int, duration_us: int, timing: Timing) -> CoreRate:
    _, y, x = np.unravel_index(heard.neuron, layer.in_shape)
    reached = layer.reached(y, x)
    synops, work_ns = heard.count * reached, heard.count * timing.work_ns(reached)
    span_us = min(WINDOW_US, max(duration_us, int(heard.t.max(initial=0)) + 1))
    return CoreRate(
        core,
        layer.name,
        float(synops.sum()) * 1e6 / max(duration_us, 1),
        _busiest(heard.t, synops) * 1e6 / span_us,
        _busiest(heard.t, work_ns) / 1e3 / span_us,
        timing.synops_per_s,
        timing.event_ns,
    )


def _busiest(t: np.ndarray, amount: np.ndarray) -> float:
    """The most within any two half windows that lie side by side."""
    halves = np.bincount(t // (WINDOW_US // 2), amount, minlength=2)
    return float((halves[1:] + halves[:-1]).max())
