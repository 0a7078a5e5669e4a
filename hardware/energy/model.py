"""Energy of runs of a program: exact counts times the chip's intervals.

E = synops e_synop + updates e_update + packets e_spike + P_static t

packets: spikes times destination cores. One inference is one estimate of valence and arousal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from hardware.energy.fanout import steps_of
from hardware.energy.interval import Interval
from hardware.energy.report import EnergyReport, Part, Split
from hardware.energy.table import EnergyTable
from hardware.program import ChipProgram, Layer
from hardware.trace import Trace
from neuva import NeuvaError


def energy(traces: Trace | Iterable[Trace], program: ChipProgram, table: EnergyTable | None = None) -> EnergyReport:
    """What runs of a program cost on its chip.

    Args:
        traces: of the program's runs, with counts.
        program: the program that was run.
        table: figures; the target's own if not given.

    Raises:
        NeuvaError: if the target has no table, there is no trace, a trace has no counts or is of another program,
            or the runs are too short for a single estimate.
    """
    table = table or EnergyTable.load(program.target)
    runs = [traces] if isinstance(traces, Trace) else list(traces)
    for trace in runs:
        check_trace(trace, program)
    inferences, microseconds = sum(len(trace.times) for trace in runs), sum(trace.duration_us for trace in runs)
    if not inferences:
        least = program.every * program.dt_us
        raise NeuvaError(
            f"{microseconds} us in {len(runs)} runs give no estimate, needed {least} us: run on longer clips"
        )
    static = [figure.interval for figure in table.static.values()]
    return EnergyReport(
        target=program.target,
        backends=tuple(dict.fromkeys(trace.backend for trace in runs)),
        inferences=inferences,
        seconds=microseconds * 1e-6,
        parts=tuple(_parts(runs, program, table)),
        static_power=sum(static[1:], static[0]) if static else None,
        beside_power={name: figure.interval for name, figure in table.beside.items()},
        published_power={name: figure.interval for name, figure in table.published.items()},
        notes=table.notes,
        sources=table.sources(),
        measured=_measured(runs, table),
    )


def check_trace(trace: Trace, program: ChipProgram) -> None:
    """A trace must have counts and be of the program.

    Raises:
        NeuvaError: if not.
    """
    spikes = trace.spikes.get("input")
    if not trace.counts or (spikes is not None and spikes.total and not any(core.synops for core in trace.counts)):
        raise NeuvaError(
            f"the trace of {trace.backend} on {trace.target} counts no synaptic operations: "
            "run the program on the emulator"
        )
    counted, there = {core.layer for core in trace.counts}, {layer.name for layer in program.layers}
    if trace.target != program.target or counted != there:
        raise NeuvaError(
            f"the trace is of layers {', '.join(sorted(counted))} on {trace.target}, the program has "
            f"{', '.join(sorted(there))} on {program.target}: give the program that was run"
        )


def _measured(runs: list[Trace], table: EnergyTable) -> dict[str, float]:
    """Joules by rail over all runs, with the sum of the processor's rails; nothing if a run was not measured."""
    total: dict[str, float] = {}
    for trace in runs:
        if trace.power is None:
            return {}
        for rail, joules in trace.power.joules(trace.duration_us).items():
            total[rail] = total.get(rail, 0.0) + joules
    return total | {"processor": sum(total[rail] for rail in table.static)}


def _parts(runs: list[Trace], program: ChipProgram, table: EnergyTable) -> Iterator[Part]:
    counts: Counter[tuple[str, int | None, str]] = Counter()
    for trace in runs:
        counts["input", None, "spikes"] += _sent_in(trace, program)
        for core in trace.counts:
            counts[core.layer, core.core, "synops"] += core.synops
            counts[core.layer, core.core, "spikes"] += core.spikes
            counts[core.layer, core.core, "updates"] += core.updates if program.family == "loihi" else 0
        if program.family == "speck":
            cores = {core.layer: core.core for core in trace.counts}  # a Speck layer is on one core
            for layer in program.layers:
                counts[layer.name, cores[layer.name], "updates"] += _ticked(layer, trace)
    for name, number in dict.fromkeys((name, number) for name, number, _ in counts):
        synops, updates, spikes = (counts[name, number, kind] for kind in ("synops", "updates", "spikes"))
        packets = spikes * _destinations(program, name)
        split = Split(synops * table["synop"], updates * table["update"], packets * table["spike"])
        yield Part(name, number, synops, updates, spikes, split)


def _sent_in(trace: Trace, program: ChipProgram) -> int:
    """Spikes that went in: on Loihi a count is the payload of one spike, on Speck so many spikes."""
    spikes = trace.spikes.get("input")
    if spikes is None:
        return 0
    return spikes.total if program.family == "speck" else len(spikes.t)


def _ticked(layer: Layer, trace: Trace) -> int:
    """Neuron updates beyond synaptic operations on Speck: ticks of the leak clock, where a layer has a bias at all.

    Read off the program, as clocked backends count neurons times steps, which the chip does not do.
    """
    return layer.neurons * steps_of(trace) if layer.neuron.bias.any() else 0


def _destinations(program: ChipProgram, layer: str) -> Interval:
    """Packets a spike: on Speck one for each layer that hears it, on Loihi one to all cores of those (host: one)."""
    heard_by = [each.name for each, sources in zip(program.layers, program.sources, strict=True) if layer in sources]
    if program.family == "speck":  # a layer is on one core, and all that hear a spike are sent it
        return Interval.exact(max(len(heard_by), 1))
    cores = len({part.core for part in program.placement if part.layer in heard_by}) or 1
    return Interval(1, cores, cores)
