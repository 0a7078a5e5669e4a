"""Time of one step, which the core with the most work sets, as far as published figures carry it.

A core does its work one operation after the other and the chip waits for the last core (Davies et al. 2018; that run
time follows the core with the highest load was measured on Loihi 2, arXiv:2511.21549):

t = barrier + max over cores (synops t_synop + updates t_update + spikes t_spike)

Traffic between cores, embedded processors and the host are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from hardware.energy.fanout import steps_of
from hardware.energy.model import check_trace
from hardware.loihi.axons import Part, hearings
from hardware.loihi.chip import LoihiChip, Span, load
from hardware.program import ChipProgram
from hardware.trace import CoreCounts, Trace

FIGURES = {
    "a synaptic operation": "synop_ns",
    "a neuron update": "update_ns",
    "a spike sent": "spike_ns",
    "the end of a step": "barrier_ns",
}


@dataclass(frozen=True)
class Work:
    """What a core does in one step; a trace's is the mean of its steps."""

    core: int
    synops: float
    updates: float
    spikes: float


@dataclass(frozen=True)
class Timing:
    """The busiest core of a step and how long the step takes.

    when: "no spikes", "every neuron spikes" or "measured, mean step".
    busiest: the core with the most work. us: lowest and highest time in microseconds, None where unknown.
    """

    when: str
    busiest: Work
    us: Span | None


@dataclass(frozen=True)
class StepTime:
    """Times of a step.

    dt_us: what the program takes it to be. why: figure -> its source, or why there is none.
    """

    timings: tuple[Timing, ...]
    dt_us: int
    why: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def step_time(program: ChipProgram, trace: Trace | None = None) -> StepTime | None:
    """Time of a step of a placed program: without spikes, at the most there can be, and as a run had it.

    Args:
        program: with its placement; None is returned if nothing is placed.
        trace: of a run of this program, with counts per core.

    Raises:
        NeuvaError: if the trace is of another program or has no counts.
    """
    chip = load(program.target)
    most = _at_most(program)
    if not most:
        return None
    cases = {
        "no spikes": [Work(work.core, 0, work.updates, 0) for work in most],
        "every neuron spikes": most,
    }
    if trace is not None:
        check_trace(trace, program)
        cases["measured, mean step"] = _measured(trace.counts, steps_of(trace))
    timings = []
    for when, works in cases.items():
        busiest = max(works, key=lambda work: _key(work, chip))
        timings.append(Timing(when, busiest, _microseconds(busiest, chip)))
    return StepTime(tuple(timings), program.dt_us, {what: chip.sources[name] for what, name in FIGURES.items()})


def _at_most(program: ChipProgram) -> list[Work]:
    """Each core's work where every input and every neuron spikes; zero weights are operations too, borders exact."""
    heard, layers = hearings(program), {layer.name: layer for layer in program.layers}
    works: dict[int, Work] = {}
    for each in program.placement:
        part = Part(each.c0, each.c1, each.y0, each.y1)
        neurons = (part.c1 - part.c0) * (part.y1 - part.y0) * layers[each.layer].out_shape[2]
        own = Work(each.core, heard[each.layer].synapses(part), neurons, neurons)
        works[each.core] = _sum(works.get(each.core), own)
    return list(works.values())


def _measured(counts: Iterable[CoreCounts], steps: int) -> list[Work]:
    works: dict[int, Work] = {}
    for each in counts:
        own = Work(each.core, each.synops / steps, each.updates / steps, each.spikes / steps)
        works[each.core] = _sum(works.get(each.core), own)
    return list(works.values())


def _sum(work: Work | None, more: Work) -> Work:
    if work is None:
        return more
    return Work(work.core, work.synops + more.synops, work.updates + more.updates, work.spikes + more.spikes)


def _key(work: Work, chip: LoihiChip) -> tuple[float, ...]:
    """Order of cores by load: by time where it is known, else by operations."""
    span = _microseconds(work, chip)
    return (span[1],) if span else (work.synops, work.updates)


def _microseconds(work: Work, chip: LoihiChip) -> Span | None:
    if chip.synop_ns is None or chip.update_ns is None or chip.spike_ns is None or chip.barrier_ns is None:
        return None
    figures = zip(chip.synop_ns, chip.update_ns, chip.spike_ns, chip.barrier_ns, strict=True)
    low, high = (
        (work.synops * synop + work.updates * update + work.spikes * spike + barrier) / 1000
        for synop, update, spike, barrier in figures
    )
    return low, high
