"""What a program gave that knows nothing of valence and arousal: spikes of its layers, a winner, other outputs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.plots import outputs_over_time, save_png, spike_raster
from hardware.program import ChipProgram
from hardware.trace import Trace
from neuva import atomic_path

SMALL = 128
"""Neurons of a last layer whose neurons stand for answers."""


@dataclass(frozen=True)
class Activity:
    """Spikes of a layer in a run. rate = spikes / (neurons * seconds), in spikes per neuron and second."""

    layer: str
    neurons: int
    spikes: int
    rate: float


def activities(trace: Trace) -> list[Activity]:
    """Of the input and each layer."""
    seconds = max(trace.duration_us, 1) * 1e-6
    return [
        Activity(name, neurons, spikes.total, spikes.total / (neurons * seconds))
        for name, spikes in trace.spikes.items()
        for neurons in (int(np.prod(spikes.shape)),)
    ]


def winner(trace: Trace, program: ChipProgram) -> str | None:
    """In words, the neuron of the last layer with most spikes and the next one; None where the layer is large."""
    last = program.layers[-1]
    if last.neurons > SMALL:
        return None
    spikes = trace.spikes[last.name]
    counts = np.bincount(spikes.neuron, spikes.count, last.neurons).astype(int)
    if not counts.any():
        return f"no neuron of {last.name} spiked"
    best = np.flatnonzero(counts == counts.max())
    if len(best) > 1:
        return f"most spikes in {last.name}: neurons {', '.join(map(str, best))}, {counts.max():,} each"
    others = np.delete(counts, best)
    behind = f", the next has {others.max():,}" if len(others) else ""
    return f"most spikes in {last.name}: neuron {best[0]}, {counts.max():,}{behind}"


def save_activity(trace: Trace, program: ChipProgram, start_us: int, name: str, path: Path) -> tuple[Path, Path]:
    """Write the trace to `path` and, beside it, a CSV and a picture; gives their paths.

    With a read-out the CSV has a row for each estimate (t_us, then its outputs by name), and the picture shows them;
    without one a row for each time a neuron of the last layer spiked (t_us, neuron, spikes), and the picture is a
    raster of all layers. Times are the recording's own, `start_us` its first.
    """
    trace.save(path)
    table, picture = path.with_suffix(".csv"), path.with_suffix(".png")
    title = f"{name}: {trace.target} on {trace.backend}"
    if program.readout is None:
        spikes = trace.spikes[program.layers[-1].name]
        rows: Iterable[tuple] = zip(
            (start_us + spikes.t).tolist(), spikes.neuron.tolist(), spikes.count.tolist(), strict=True
        )
        _write(table, ("t_us", "neuron", "spikes"), rows)
        dots = {layer: (part.t / 1e6, part.neuron) for layer, part in trace.spikes.items()}
        sizes = {layer: int(np.prod(part.shape)) for layer, part in trace.spikes.items()}
        save_png(spike_raster(dots, sizes, title), picture)
    else:
        _write(table, ("t_us", *program.readout.names), _estimates(trace, start_us))
        save_png(outputs_over_time(trace.times / 1e6, trace.va, program.readout.names, title), picture)
    return table, picture


def _estimates(trace: Trace, start_us: int) -> Iterator[tuple]:
    for time, values in zip((start_us + trace.times).tolist(), trace.va, strict=True):
        yield time, *(f"{value:.6g}" for value in values)


def _write(table: Path, head: tuple[str, ...], rows: Iterable[tuple]) -> None:
    with atomic_path(table) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
