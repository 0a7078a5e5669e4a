"""`neuva bench speck`: the event-driven and the clocked emulator beside sinabs' clocked simulation, one thread."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import torch

from experiments.benchmarks.measure import Benchmark, Cell, Table, best_of
from experiments.benchmarks.speck_network import DT_US, moving_edges, network, steps_of
from hardware.program import ChipProgram
from hardware.speck import clocked, event_driven, sinabs_run
from hardware.speck.event_driven import EventEmulator
from hardware.speck.input import events_of_camera
from hardware.speck.queueing import Queue
from neuva import NeuvaError

RATES = (10_000, 50_000, 200_000)
"""Events a second."""

SECONDS = 0.25
"""Of input, the same for all; sinabs keeps every step's states of every layer."""

MEASURE_S = 1.0


def run(update: Callable[..., None]) -> Benchmark:
    """Same network, same input; every spike of the two clocked ones is compared before any is timed."""
    program, done = network(), count(1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = [_row(program, rate, lambda: update(next(done), 4 * len(RATES))) for rate in RATES]
    finally:
        torch.set_num_threads(threads)
    columns = (
        "events/s in",
        "Msynops/s, events",
        "with queues",
        "s a second: events",
        "clocked",
        "sinabs",
        "events faster than sinabs by",
        "clocked faster by",
    )
    notes = (
        "128x128x2 -> conv16 -> conv32 -> conv64 (3x3, stride 2) -> dense 64, random weights; moving edges; one thread",
        f"s a second: what a second of input takes, measured on the same {SECONDS:g} s from zero state; clocked and "
        f"sinabs in steps of {DT_US / 1000:g} ms",
        "events: one after the other as the chip works; clocked: spike for spike what sinabs simulates, as checked "
        "before timing. They are not the same function: see docs/speck-asynchrony.md",
    )
    return Benchmark("speck", [Table("Speck: event-driven and clocked", columns, rows, notes)])


def _row(program: ChipProgram, rate: int, update: Callable[[], None]) -> list[Cell]:
    events = moving_edges(rate, SECONDS)
    counts = steps_of(events, DT_US, SECONDS)
    _check_same(program, counts)
    update()
    synops = sum(core.synops for core in event_driven.run(program, events).counts)
    stream, until = events_of_camera(program, events, 0), round(SECONDS * 1e6)
    pure = best_of(lambda: _stream(EventEmulator(program), stream, until), seconds=MEASURE_S)
    queued = best_of(lambda: _stream(EventEmulator(program, Queue()), stream, until), seconds=MEASURE_S)
    update()
    own = best_of(lambda: clocked.run(program, counts), seconds=MEASURE_S)
    update()
    theirs = best_of(_sinabs(program, counts), seconds=MEASURE_S)
    update()
    speeds = (synops / pure / 1e6, synops / queued / 1e6)
    return [
        rate,
        *speeds,
        pure / SECONDS,
        own / SECONDS,
        theirs / SECONDS,
        theirs / pure,
        theirs / own,
    ]


def _stream(emulator: EventEmulator, stream: np.ndarray, until: int) -> None:
    for _ in event_driven.stretches(emulator, stream, until):
        pass


def _check_same(program: ChipProgram, counts: np.ndarray) -> None:
    ours, theirs = clocked.run(program, counts), sinabs_run.run(program, counts)
    for name, spikes in theirs.spikes.items():
        if not np.array_equal(ours.spikes[name].dense(len(counts), DT_US), spikes.dense(len(counts), DT_US)):
            raise NeuvaError(f"layer {name}: the clocked emulator's spikes are not sinabs': nothing is timed")


def _sinabs(program: ChipProgram, counts: np.ndarray) -> Callable[[], Any]:
    """sinabs' own network on a tensor that lies ready."""
    built, x = sinabs_run.dynapcnn_network(program), torch.from_numpy(counts.astype(np.float32))

    def work() -> torch.Tensor:
        with torch.no_grad():
            return built(x)

    return work
