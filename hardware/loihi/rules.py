"""Design rules of the Loihi family: each a small function named after the rule; `RULES` lists them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hardware.loihi.chip import load
from hardware.loihi.kernels import ACTIVATION_SHIFT, STATE_LIMIT
from hardware.loihi.place import core_use
from hardware.loihi.weights import on_grid
from hardware.program import ChipProgram, Layer, LoihiNeuron
from hardware.rules import Finding, Rule


def loihi_neurons_only(program: ChipProgram) -> Iterator[Finding]:
    """Every layer has CUBA-LIF neurons and no pooling."""
    for layer in program.layers:
        kind = type(layer.neuron).__name__
        if kind != "LoihiNeuron":
            yield _error("loihi_neurons_only", layer, kind, "LoihiNeuron", "convert the network for Loihi")
        if layer.pool != 1:
            yield _error("loihi_neurons_only", layer, f"pooling by {layer.pool}", "1", "lower pooling as a convolution")


def weights_on_8_bit_grid(program: ChipProgram) -> Iterator[Finding]:
    """Weights are what an 8-bit synapse holds: -256..254 and even where signs are mixed, else 0..255 or -255..0."""
    for layer in program.layers:
        weight = np.asarray(layer.connection.weight)
        off = weight[on_grid(weight) != weight]
        if off.size:
            measured = f"{off.size} of {weight.size} weights off the grid, such as {off.flat[0]}"
            limit = "even numbers in -256..254 where signs are mixed, else 0..255 or -255..0"
            yield _error("weights_on_8_bit_grid", layer, measured, limit, "round the weights to the grid")


def weight_exp_4_bit(program: ChipProgram) -> Iterator[Finding]:
    """weight_exp fits its 4 signed bits."""
    chip = load(program.target)
    for layer in program.layers:
        yield from _in_range(
            "weight_exp_4_bit",
            layer,
            "weight_exp",
            layer.connection.weight_exp,
            chip.weight_exp_min,
            chip.weight_exp_max,
        )


def decays_12_bit(program: ChipProgram) -> Iterator[Finding]:
    """Du and dv fit 12 unsigned bits."""
    largest = (1 << load(program.target).decay_bits) - 1
    for layer, neuron in _neurons(program):
        yield from _in_range("decays_12_bit", layer, "du", neuron.du, 0, largest)
        yield from _in_range("decays_12_bit", layer, "dv", neuron.dv, 0, largest)


def threshold_17_bit(program: ChipProgram) -> Iterator[Finding]:
    """The threshold's mantissa fits 17 unsigned bits."""
    largest = (1 << load(program.target).threshold_bits) - 1
    for layer, neuron in _neurons(program):
        yield from _in_range("threshold_17_bit", layer, "vth", neuron.vth, 0, largest)


def bias_13_bit_mantissa(program: ChipProgram) -> Iterator[Finding]:
    """Each bias is a 13-bit signed mantissa shifted by a 3-bit exponent."""
    chip = load(program.target)
    half = 1 << (chip.bias_mantissa_bits - 1)
    for layer, neuron in _neurons(program):
        exp = neuron.bias_exp
        yield from _in_range("bias_13_bit_mantissa", layer, "bias_exp", exp, 0, (1 << chip.bias_exp_bits) - 1)
        bias = np.asarray(neuron.bias)
        mantissa = bias >> max(exp, 0)
        bad = (mantissa < -half) | (mantissa >= half) | (mantissa << max(exp, 0) != bias)
        if bad.any():
            measured = f"{int(bad.sum())} biases such as {bias[bad][0]} with bias_exp {exp}"
            limit = f"{-half}..{half - 1} << bias_exp"
            yield _error(
                "bias_13_bit_mantissa", layer, measured, limit, "choose another bias_exp or scale the layer down"
            )


def spikes_fit_payload(program: ChipProgram) -> Iterator[Finding]:
    """Counted input needs graded spikes."""
    if program.input.kind == "counts" and load(program.target).payload_bits == 1:
        cure = "encode the input as binary, or convert for loihi2"
        yield Finding("spikes_fit_payload", "error", "input", "counts", "binary spikes", cure)


def drive_within_24_bits(program: ChipProgram) -> Iterator[Finding]:
    """If every input of a neuron spiked at once, u would stay within 24 bits (a warning: real input is sparse)."""
    for layer in program.layers:
        weight = on_grid(layer.connection.weight).reshape(layer.connection.weight.shape[0], -1).astype(np.int64)
        worst = max(int(np.clip(weight, 0, None).sum(1).max()), int(-np.clip(weight, None, 0).sum(1).min()))
        drive = worst * 2**layer.connection.weight_exp * 2**ACTIVATION_SHIFT
        if drive >= STATE_LIMIT:
            cure = "a recording seldom comes near; if `neuva run` says that it did, give its neurons fewer inputs"
            measured, limit = f"up to {drive:.0f} if all inputs spiked in one step", f"{STATE_LIMIT - 1}"
            yield Finding("drive_within_24_bits", "warning", f"layer {layer.name}", measured, limit, cure)


def every_neuron_placed_once(program: ChipProgram) -> Iterator[Finding]:
    """The placement covers each neuron exactly once and names layers that exist."""
    names = {layer.name for layer in program.layers}
    for part in program.placement:
        if part.layer not in names:
            where = f"core {part.core}"
            yield Finding("every_neuron_placed_once", "error", where, f"layer {part.layer}", "a layer", "place again")
    for layer in program.layers:
        times = np.zeros(layer.out_shape[:2], int)
        for part in program.placement:
            if part.layer == layer.name:
                times[part.c0 : part.c1, part.y0 : part.y1] += 1
        if program.placement and np.any(times != 1):
            measured = f"{times.min()} to {times.max()} times"
            yield _error("every_neuron_placed_once", layer, measured, "once", "place the program again")


def cores_available(program: ChipProgram) -> Iterator[Finding]:
    """The placement uses cores that the chip has."""
    cores = {part.core for part in program.placement}
    limit = load(program.target).cores
    if len(cores) > limit or any(not 0 <= core < limit for core in cores):
        measured = f"{len(cores)} cores, numbered {min(cores)}..{max(cores)}"
        cure = "make the network smaller, or spread it over several chips"
        yield Finding("cores_available", "error", "placement", measured, f"{limit} on {program.target}", cure)


def core_resources(program: ChipProgram) -> Iterator[Finding]:
    """No core holds more neurons, memory or fan-in axons than it has."""
    names = {layer.name for layer in program.layers}
    known = [part for part in program.placement if part.layer in names]
    for core in core_use(program, known):
        for what, (used, limit) in core.use.items():
            if used > limit:
                where = f"core {core.core} ({', '.join(core.layers)})"
                yield Finding("core_resources", "error", where, f"{used} {what}", str(limit), "place the program again")


RULES: list[Rule] = [
    loihi_neurons_only,
    weights_on_8_bit_grid,
    weight_exp_4_bit,
    decays_12_bit,
    threshold_17_bit,
    bias_13_bit_mantissa,
    spikes_fit_payload,
    drive_within_24_bits,
    every_neuron_placed_once,
    cores_available,
    core_resources,
]


def _neurons(program: ChipProgram) -> Iterator[tuple[Layer, LoihiNeuron]]:
    """Layers with Loihi's neurons; `loihi_neurons_only` reports the others."""
    for layer in program.layers:
        if isinstance(layer.neuron, LoihiNeuron):
            yield layer, layer.neuron


def _in_range(rule: str, layer: Layer, what: str, value: int, low: int, high: int) -> Iterator[Finding]:
    if not low <= value <= high:
        yield _error(rule, layer, f"{what} {value}", f"{low}..{high}", f"bring {what} into its range")


def _error(rule: str, layer: Layer, measured: str, limit: str, cure: str) -> Finding:
    return Finding(rule, "error", f"layer {layer.name}", measured, limit, cure)
