"""The Loihi emulator beside Lava: the same network and input, first every u, v and spike compared, then the time.

Three strided convolutions and a dense layer with random weights, whose thresholds let a few percent of each layer
fire at 3 % of the input. Lava needs seconds to start: its time a step is what more steps take longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numba import config as numba_config

from experiments.benchmarks.measure import Benchmark, Cell, Table, best_of
from hardware.loihi import emulator, lava
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron
from hardware.trace import Trace
from neuva import NeuvaError

SIDE, CHANNELS, OUTPUTS = 64, (32, 64, 64), 64
THRESHOLDS = (400, 2000, 2000, 8000)
ACTIVE = 0.03
STEPS = 100
FEW_STEPS = 20  # that Lava runs to be compared, and whose time is taken off that of FEW_STEPS + STEPS
CLIPS = 8
ACTIVITIES = (0.01, 0.03, 0.1, 0.3)
SIDES = (32, 64, 128)
WIDTHS = (0.5, 1, 2)


def network(side: int = SIDE, width: float = 1.0) -> ChipProgram:
    """The network for side x side x 2, its convolutions' channels times `width`, thresholds with their fan-in."""
    rng, shape = np.random.default_rng(0), (2, side, side)
    layers = []
    fan_ins = (2, *CHANNELS)
    for k, (c_in, c_out) in enumerate(pairwise((2, *(int(width * c) for c in CHANNELS)))):
        link = Connection("conv", _weights(rng, c_out, c_in, 3, 3), (2, 2), (1, 1))
        out_shape = (c_out, shape[1] // 2, shape[2] // 2)
        layers.append(Layer(f"conv{k + 1}", shape, out_shape, link, _neurons(c_out, THRESHOLDS[k], c_in / fan_ins[k])))
        shape = out_shape
    link = Connection("dense", _weights(rng, OUTPUTS, int(np.prod(shape))))
    last = _neurons(OUTPUTS, THRESHOLDS[-1], np.prod(shape) / (CHANNELS[-1] * (SIDE // 8) ** 2))
    layers.append(Layer("dense", shape, (OUTPUTS, 1, 1), link, last))
    return ChipProgram("loihi2", 10_000, InputEncoding((2, side, side), "binary"), tuple(layers), None)


def _weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return 2 * rng.integers(-64, 64, shape)


def _neurons(channels: int, vth: int, fan_in: float) -> LoihiNeuron:
    return LoihiNeuron(1024, 512, round(vth * fan_in**0.5), np.zeros(channels, np.int32))


def clip(steps: int, side: int = SIDE, active: float = ACTIVE, seed: int = 1) -> np.ndarray:
    """Spikes [T, 2, side, side] on a share of the pixels."""
    return (np.random.default_rng(seed).random((steps, 2, side, side)) < active).astype(np.uint8)


def run(update: Callable[[int, int], None]) -> Benchmark:
    """Lava's time and ours, and how ours grows."""
    total, done = 4, 0

    def measured(table: Table) -> Table:
        nonlocal done
        done += 1
        update(done, total)
        return table

    tables = [measured(make()) for make in (beside_lava, with_activity, with_size, with_threads)]
    return Benchmark("loihi", tables)


def beside_lava() -> Table:
    """Milliseconds a step of both, after they agreed.

    Raises:
        NeuvaError: if a u, v or spike differs.
    """
    program, columns = network(), ("simulator", "ms a step", "of neuva")
    ours = ms_a_step(program, clip(STEPS))
    rows: list[list[Cell]] = [["neuva, one thread", ours, 1.0]]
    notes = [
        f"{SIDE}x{SIDE}x2, 3x3 convolutions of stride 2 to {CHANNELS} channels, dense {OUTPUTS}; "
        f"{sum(layer.neurons for layer in program.layers)} neurons, {ACTIVE:.0%} of the input active, {STEPS} steps",
        "firing a step: " + ", ".join(f"{name} {rate:.1%}" for name, rate in rates(program).items()),
        "neuva: with spike lists and counts per core, building the chip left out; shortest of several runs",
    ]
    try:
        lava.interpreter()
    except NeuvaError as error:
        rows.append(["Lava", None, None])
        return Table("Loihi, beside Lava", columns, rows, [*notes, f"Lava was not there, nothing is compared: {error}"])
    compare(program)
    theirs = lava_ms_a_step(program)
    rows.append(["Lava, one thread a process", theirs, theirs / ours])
    notes.append(f"every u, v and spike of {FEW_STEPS} steps is the same; Lava's start is left out")
    return Table("Loihi, beside Lava", columns, rows, notes)


def compare(program: ChipProgram) -> None:
    """Run both for a few steps.

    Raises:
        NeuvaError: naming the first layer where a u, v or spike differs.
    """
    few = clip(FEW_STEPS)
    mine = emulator.run(program, few, record_state=True, like_lava=True)
    theirs = lava.run(program, few, record_state=True)
    for layer in program.layers:
        if not _same(mine, theirs, layer.name):
            raise NeuvaError(f"layer {layer.name} is not Lava's: nothing is timed, run the tests of the emulator")


def _same(mine: Trace, theirs: Trace, name: str) -> bool:
    a, b = mine.spikes[name], theirs.spikes[name]
    spikes = np.array_equal(a.t, b.t) and np.array_equal(a.neuron, b.neuron)
    return spikes and np.array_equal(mine.u[name], theirs.u[name]) and np.array_equal(mine.v[name], theirs.v[name])


def lava_ms_a_step(program: ChipProgram) -> float:
    """What STEPS more steps take Lava longer."""

    def seconds(steps: int) -> float:
        start = time.perf_counter()
        lava.run(program, clip(steps))
        return time.perf_counter() - start

    few = min(seconds(FEW_STEPS) for _ in range(2))
    return (seconds(FEW_STEPS + STEPS) - few) / STEPS * 1e3


def ms_a_step(program: ChipProgram, x: np.ndarray) -> float:
    """Milliseconds a step of the emulator with its state kept."""
    chip = emulator.LoihiEmulator(program)
    return best_of(lambda: chip.feed(x)) / len(x) * 1e3


def rates(program: ChipProgram) -> dict[str, float]:
    """Spikes a neuron and step of each layer."""
    trace = emulator.run(program, clip(STEPS))
    return {layer.name: trace.spikes[layer.name].total / STEPS / layer.neurons for layer in program.layers}


def _growth(program: ChipProgram, x: np.ndarray, label: str) -> list[Cell]:
    """A row: time, and the work it went into."""
    milliseconds = ms_a_step(program, x)
    synops = sum(core.synops for core in emulator.run(program, x).counts) / len(x)
    neurons = sum(layer.neurons for layer in program.layers)
    return [label, milliseconds, neurons, round(synops), milliseconds * 1e6 / (neurons + synops)]


GROWTH = ("", "ms a step", "neurons", "synops a step", "ns each")


def with_activity() -> Table:
    """Time by the share of the input that is active."""
    rows = [_growth(network(), clip(STEPS, active=active), f"{active:.0%} active") for active in ACTIVITIES]
    return Table("Time by activity", GROWTH, rows, ["ns each: of neurons and synaptic operations together"])


def with_size() -> Table:
    """Time by the map's side and by the number of channels."""
    rows = [_growth(network(side=side), clip(STEPS, side), f"{side}x{side}") for side in SIDES]
    widths = [(width, tuple(int(width * c) for c in CHANNELS)) for width in WIDTHS]
    rows += [_growth(network(width=width), clip(STEPS), f"channels {channels}") for width, channels in widths]
    return Table("Time by size", GROWTH, rows)


def with_threads() -> Table:
    """Clips one after the other and side by side."""
    program, clips = network(), [clip(STEPS, seed=seed) for seed in range(CLIPS)]
    alone = best_of(lambda: [emulator.run(program, x) for x in clips])
    together = best_of(lambda: emulator.run_many(program, clips))
    per_step = 1e3 / (CLIPS * STEPS)
    threads: int = numba_config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    rows: list[list[Cell]] = [
        ["one after the other", alone * per_step, 1.0],
        [f"side by side, {threads} threads", together * per_step, alone / together],
    ]
    notes = [f"{CLIPS} clips of {STEPS} steps, with building the chip and the traces; threads by NUMBA_NUM_THREADS"]
    return Table("Many clips", ("clips", "ms a step", "times as fast"), rows, notes)
