"""Design rules of the Loihi family: each a small function named after the rule; `RULES` lists them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hardware.loihi.axons import Part, hearings
from hardware.loihi.chip import load
from hardware.loihi.kernels import ACTIVATION_SHIFT, DECAY_UNITY, STATE_LIMIT
from hardware.loihi.place import core_use, destinations, over, smallest_slices
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
    """U stays within 24 bits even if every input of a neuron spiked in every step (a warning: real input is sparse).

    u is at most `sum(|w|) 2^(weight_exp + 6) 4096 / (du + 1)`, over a neuron's weights of one sign that spike in every
    step. Told is the fewest inputs that could bring u there: with fewer plain spikes a step it cannot leave its bits
    (payloads of a counted input are taken as 1).
    """
    for layer, neuron in _neurons(program):
        weight = on_grid(layer.connection.weight).reshape(layer.connection.weight.shape[0], -1)
        gain = 2.0 ** (layer.connection.weight_exp + ACTIVATION_SHIFT) * DECAY_UNITY / (max(neuron.du, 0) + 1)
        sources = hearings(program)[layer.name].sources
        needed = [_fewest(sign * row, sources, STATE_LIMIT / gain) for row in weight for sign in (1, -1)]
        if any(needed):
            inputs, fewest = weight.shape[1] * sources, min(filter(None, needed))
            measured = f"u could leave them if {fewest} of a neuron's {inputs} inputs spiked in every step"
            cure = "a recording seldom comes near; if `neuva run` says that it did, give its neurons fewer inputs"
            where, limit = f"layer {layer.name}", f"24 bits, {STATE_LIMIT - 1}"
            yield Finding("drive_within_24_bits", "warning", where, measured, limit, cure)


def every_neuron_placed_once(program: ChipProgram) -> Iterator[Finding]:
    """The placement covers each neuron exactly once and names layers that exist (see `layers_fit_cores` for others)."""
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
        if times.any() and np.any(times != 1):
            measured = f"{times.min()} to {times.max()} times"
            yield _error("every_neuron_placed_once", layer, measured, "once", "place the program again")


def layers_fit_cores(program: ChipProgram) -> Iterator[Finding]:
    """Every layer is on cores: its smallest slice, one row of one channel, fits one."""
    chip, heard = load(program.target), hearings(program)
    there = {layer.name: [each for each in program.placement if each.layer == layer.name] for layer in program.layers}
    parts = {name: [Part(each.c0, each.c1, each.y0, each.y1) for each in slices] for name, slices in there.items()}
    for layer in program.layers:
        if parts[layer.name]:
            continue
        heard_by = destinations(program, layer, heard, parts)
        uses = list(smallest_slices(layer, heard[layer.name], heard_by, chip))
        worst = {what: (max(use[what][0] for use in uses), limit) for what, (_, limit) in uses[0].items()}
        for what, used, limit in over(worst):
            smallest = "one row of one channel" if layer.out_shape[2] > 1 else "one neuron"
            measured = f"{smallest} takes {used} {what}"
            yield _error("layers_fit_cores", layer, measured, f"{limit} a core", CURES[what])
        if program.placement and not any(over(worst)):
            yield _error("layers_fit_cores", layer, "on no core", "on cores", "place the program again")


def cores_available(program: ChipProgram) -> Iterator[Finding]:
    """The placement uses cores that the chip has."""
    cores = {part.core for part in program.placement}
    limit = load(program.target).cores
    if len(cores) > limit or any(not 0 <= core < limit for core in cores):
        measured = f"{len(cores)} cores, numbered {min(cores)}..{max(cores)}"
        cure = f"make the network smaller: it would fill {-(-len(cores) // limit)} chips, and a program runs on one"
        yield Finding("cores_available", "error", "placement", measured, f"{limit} on {program.target}", cure)


def core_resources(program: ChipProgram) -> Iterator[Finding]:
    """No core holds more neurons, memory or axons than it has."""
    names = {layer.name for layer in program.layers}
    known = [part for part in program.placement if part.layer in names]
    for core in core_use(program, known):
        for what, used, limit in over(core.use):
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
    layers_fit_cores,
    cores_available,
    core_resources,
]

SIZE_RULES: list[Rule] = [spikes_fit_payload, layers_fit_cores, cores_available]
"""Those that a program placed by `place` can break and another size, or input encoding, mends."""

CURES = {
    "neurons": "give the layer a narrower map, by stride in it or before it",
    "memory bytes": "give it fewer inputs, by fewer channels or a larger stride in the layers before it",
    "axons in": "give it fewer inputs, by fewer channels or a larger stride in the layers before it",
    "axons out": "give the layers that hear it fewer neurons, so that they are on fewer cores",
}


def _neurons(program: ChipProgram) -> Iterator[tuple[Layer, LoihiNeuron]]:
    """Layers with Loihi's neurons; `loihi_neurons_only` reports the others."""
    for layer in program.layers:
        if isinstance(layer.neuron, LoihiNeuron):
            yield layer, layer.neuron


def _fewest(weight: np.ndarray, times: int, goal: float) -> int:
    """How many of the positive weights [N], each there so many times, reach a sum at the least; 0 if all do not."""
    excited = weight[weight > 0].astype(np.int64)
    if excited.sum() * times < goal:
        return 0
    strongest = np.repeat(-np.sort(-excited), times)
    return int(np.searchsorted(np.cumsum(strongest), goal)) + 1


def _in_range(rule: str, layer: Layer, what: str, value: int, low: int, high: int) -> Iterator[Finding]:
    if not low <= value <= high:
        yield _error(rule, layer, f"{what} {value}", f"{low}..{high}", f"bring {what} into its range")


def _error(rule: str, layer: Layer, measured: str, limit: str, cure: str) -> Finding:
    return Finding(rule, "error", f"layer {layer.name}", measured, limit, cure)
