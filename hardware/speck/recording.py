"""A program on a Speck board: events in, and what the board answered as a trace like any emulator's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hardware.power import Power
from hardware.program import ChipProgram
from hardware.rules import findings
from hardware.speck.board import Heard, open_board
from hardware.speck.chip import load
from hardware.speck.configuration import layer_configurations
from hardware.speck.cores import destinations
from hardware.speck.input import events_heard
from hardware.speck.results import core_of, finished, gathered, merged, pooled
from hardware.speck.rules import RULES
from hardware.speck.synapses import synapses
from hardware.trace import CoreCounts, Spikes, Trace
from neuva import NeuvaError


def run(program: ChipProgram, events: np.ndarray, duration_us: int) -> Trace:
    """Run a clip in real time, from states that were set to zero.

    Biases are added at the ticks of the board's slow clock, set to 1 / dt for programs that have any.

    Args:
        program: placed, for a chip whose boards samna drives.
        events: structured array with fields t, x, y, p of the input's size, or of the sensor's where the program has
            a camera; or counts [T, C, H, W] per step of dt. t since the start of the clip.

    Returns:
        Trace with the chip's name as backend: spikes by the board's own clock, power of its rails, and counts made
        from the spikes as the event-driven emulator makes them.

    Raises:
        NeuvaError: if program and events do not suit each other or a board, or the board cannot be driven.
    """
    leak_hz = _leak_hz(program)
    _require_fit(program)
    stream = events_heard(program, events)
    if len(stream) and stream[-1, 0] >= duration_us:
        raise NeuvaError(f"the run ends at {duration_us} us but an event is at {stream[-1, 0]} us: cut the events")
    cores, configurations = load(program.target).cores, layer_configurations(program)
    with open_board(program.target) as board:
        board.configure(configurations)
        cleared = board.clear({core: cores[core].neuron for core in configurations})
        heard = board.play(_addressed(program, stream), duration_us, leak_hz)
        notes = {"name": board.name, "words_read_as_zero": cleared, "leak_clock_hz": leak_hz}
    versions = {"samna": board.version}
    return trace_of(program, stream, heard, duration_us, {"board": notes, "versions": versions})


def trace_of(program: ChipProgram, stream: np.ndarray, heard: Heard, duration_us: int, notes: dict[str, Any]) -> Trace:
    """The trace of what went in (int64 [N, 4] of t, channel, y, x) and what came back.

    Spikes from before the run's start are left out and counted in notes["board"]["early_spikes"]; power that is not
    whole is left out, and notes["board"]["power_left_out"] says why.

    Raises:
        NeuvaError: if a spike is of no neuron of the program.
    """
    early = heard.spikes[:, 0] < 0
    kept = heard.spikes[~early]
    known = np.isin(kept[:, 1], [part.core for part in program.placement])
    if not known.all():
        raise NeuvaError(f"the board sent spikes of core {kept[~known][0, 1]}, which holds no layer: convert again")
    spikes = {"input": _spikes(program.input.shape, stream, "input")}
    sent, counts = dict(spikes), []
    for layer in synapses(program):
        core, shape = core_of(program, layer.name), layer.layer.out_shape
        own = _spikes(shape, kept[kept[:, 1] == core][:, [0, 2, 3, 4]], layer.name)
        synops = layer.operations(merged([sent[name] for name in layer.sources]))
        ticks = layer.layer.neurons * -(-duration_us // program.dt_us) if layer.leaks else 0
        counts.append(CoreCounts(core, layer.name, synops, synops + ticks, own.total))
        spikes[layer.name], sent[layer.name] = own, pooled(own, layer.layer.pool)
    doubt = _doubt(heard.power)
    board = notes.get("board", {}) | {"early_spikes": int(early.sum()), "power_left_out": doubt}
    last = sent[program.layers[-1].name]
    trace = finished(program, program.target, duration_us, last, spikes, tuple(counts), {}, notes | {"board": board})
    return replace(trace, power=None if doubt else heard.power)


def _doubt(power: Power) -> str:
    """Why samples make no energy, or nothing."""
    if power.silent():
        return f"{', '.join(power.silent())} never sampled"
    return "" if len(np.unique(power.t)) > 1 else "samples without times"


def _leak_hz(program: ChipProgram) -> int | None:
    """Ticks a second of the leak clock, 1 / dt; None where no layer has a bias.

    Raises:
        NeuvaError: if a program cannot be run on a board.
    """
    if program.reset_every:
        raise NeuvaError(
            f"the program resets its states every {program.reset_every} steps, which a board does not while it runs: "
            "convert the network without resets"
        )
    if not any(layer.neuron.bias.any() for layer in program.layers):
        return None
    hertz, rest = divmod(1_000_000, program.dt_us)
    if rest or not hertz:
        raise NeuvaError(
            f"the program has biases and a dt of {program.dt_us} us, {1e6 / program.dt_us:.6g} Hz, but the board's "
            "clock for them takes whole Hz: choose a dt that divides a second, or train without biases"
        )
    return hertz


def _require_fit(program: ChipProgram) -> None:
    broken = [finding for finding in findings(program, RULES) if finding.severity == "error"]
    if broken:
        raise NeuvaError(f"the program does not fit the chip ({len(broken)} rules broken): see `neuva check`")


def _addressed(program: ChipProgram, stream: np.ndarray) -> np.ndarray:
    """Each event to every core that hears the input: (t, core, channel, y, x)."""
    cores = [core_of(program, name) for name in destinations(program)["input"]]
    rows = np.repeat(stream, len(cores), axis=0)
    return np.insert(rows, 1, np.tile(cores, len(stream)), axis=1)


def _spikes(shape: tuple[int, int, int], rows: np.ndarray, name: str) -> Spikes:
    """From rows (t, channel, y, x)."""
    outside = ((rows[:, 1:] < 0) | (rows[:, 1:] >= shape)).any(axis=1)
    if outside.any():
        raise NeuvaError(
            f"{name}: a spike at (feature, y, x) {rows[outside][0, 1:].tolist()}, outside its map {shape}: "
            "the board runs another program: cut its power and try again"
        )
    neuron = np.ravel_multi_index((rows[:, 1], rows[:, 2], rows[:, 3]), shape)
    return gathered(shape, rows[:, 0], neuron, np.ones(len(rows), np.int32))
