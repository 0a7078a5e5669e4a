"""The pictures of docs/speck-asynchrony.md: `python -m experiments.speck_asynchrony [FOLDER]`."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.benchmarks.speck_network import moving_edges, network, steps_of
from experiments.commands.stress import curves
from experiments.plots import clocked_beside_events, load_and_latency, one_spike_an_event, save_png
from experiments.stress import ceilings, stress
from hardware.program import ChipProgram
from hardware.speck import clocked, event_driven
from hardware.speck.queueing import Queue
from hardware.trace import Trace

RATE, SECONDS = 50_000, 0.3
STEPS_US = (100, 200, 500, 1000, 2000, 5000, 10_000)
THRESHOLDS = (500, 350, 250, 180, 127, 90, 64, 45, 32, 22, 16)
WINDOW_US = 10_000  # whole steps of each length

log = logging.getLogger(__name__)


def main(folder: Path) -> None:
    """Draw all three pictures, and log the figures that the page quotes."""
    _steps(folder)
    _thresholds(folder)
    _ceiling(folder)


def _steps(folder: Path) -> None:
    """The same stream and network in steps of several lengths, beside the run event by event."""
    events = moving_edges(RATE, SECONDS)
    whole = event_driven.run(network(), events, duration_us=round(SECONDS * 1e6))
    counts: dict[str, list[float]] = {layer.name: [] for layer in network().layers}
    apart: dict[str, list[float]] = {layer.name: [] for layer in network().layers}
    for dt_us in STEPS_US:
        trace = clocked.run(network(dt_us=dt_us), steps_of(events, dt_us, SECONDS))
        for name in counts:
            counts[name].append(trace.spikes[name].total / whole.spikes[name].total)
            apart[name].append(partnerless(trace, whole, name))
    log.info("counts %s apart %s", counts, apart)
    title = "A clocked run beside the event-driven one"
    save_png(clocked_beside_events(STEPS_US, counts, apart, title), folder / "speck-steps.png")


def partnerless(one: Trace, other: Trace, layer: str) -> float:
    """Share of both runs' spikes that the other run has not in the same neuron and window."""
    steps = -(-other.duration_us // WINDOW_US)
    first, second = (trace.spikes[layer].dense(steps, WINDOW_US) for trace in (one, other))
    return float(np.abs(first - second).sum() / max(int(first.sum() + second.sum()), 1))


def _thresholds(folder: Path) -> None:
    """The first layer alone as its threshold falls below its largest weight."""
    events = moving_edges(RATE, SECONDS)
    counts = steps_of(events, 1000, SECONDS)
    found: dict[str, list[float]] = {"clocked, steps of 1 ms: as many as fit": [], "event-driven: one an event": []}
    largest = int(network().layers[0].connection.weight.max())
    for threshold in THRESHOLDS:
        alone = _first_layer(network(threshold=threshold))
        for runs, trace in zip(
            found.values(), (clocked.run(alone, counts), event_driven.run(alone, events)), strict=True
        ):
            runs.append(trace.spikes["conv0"].total)
    log.info("thresholds %s", found)
    ratio = [largest / threshold for threshold in THRESHOLDS]
    title = "At most one spike for an event and neuron"
    save_png(one_spike_an_event(ratio, found, title), folder / "speck-one-spike.png")


def _first_layer(program: ChipProgram) -> ChipProgram:
    return replace(program, layers=program.layers[:1])


def _ceiling(folder: Path) -> None:
    """The stream faster and faster, with the times of queueing/timing.yaml."""
    rungs = stress(network(), moving_edges(RATE, SECONDS), Queue(), lambda done, total: log.info("%d/%d", done, total))
    passed = ceilings(rungs)
    log.info("ceilings %s", passed)
    for rung in rungs:
        log.info("%.0f events/s: %s, first full %s", rung.rate, rung.report.latency, rung.report.first_full)
    title = "Where the cores reach their ceiling (times assumed)"
    save_png(load_and_latency(*curves(rungs), passed, title), folder / "speck-ceiling.png")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("numba").setLevel(logging.WARNING)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
