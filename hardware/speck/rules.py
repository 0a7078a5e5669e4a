"""Design rules of the Speck family: one small function a limit, all in RULES (limits and sources: the YAML files)."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from hardware.program import ChipProgram, SpeckNeuron
from hardware.rules import Finding, Rule, Severity
from hardware.speck.chip import Memory, load
from hardware.speck.cores import LayerSize, crowding, destinations, misfits, sizes, smallest_change


def camera_layer(program: ChipProgram) -> Iterator[Finding]:
    """The camera layer takes a sensor of 128 x 128 pixels and pools by 1, 2 or 4."""
    chip, camera = load(program.target), program.camera
    if camera is None:
        return
    if max(camera.size) > chip.input_side:
        measured, limit = f"sensor of {camera.size[0]}x{camera.size[1]}", f"{chip.input_side}x{chip.input_side}"
        yield Finding("camera_layer", "error", "camera", measured, limit, "crop the events before they are sent")
    if not set(camera.pool) <= set(chip.pools):
        measured, limit = f"pooling {camera.pool}", _any_of(chip.pools)
        yield Finding("camera_layer", "error", "camera", measured, limit, "choose one of them")


def input_side(program: ChipProgram) -> Iterator[Finding]:
    """What a core receives is at most 128 x 128."""
    limit = load(program.target).input_side
    for size in sizes(program):
        _, h, w = size.in_shape
        if max(h, w) > limit:
            yield _found(
                "input_side", size, f"input {w}x{h}", f"{limit}x{limit}", "crop the input or pool it before the network"
            )


def map_side(program: ChipProgram) -> Iterator[Finding]:
    """A core's map of neurons is at most 64 x 64."""
    limit = load(program.target).map_side
    for size in sizes(program):
        _, h, w = size.out_shape
        if max(h, w) > limit:
            cure = "raise the layer's stride or make its input smaller"
            yield _found("map_side", size, f"map {w}x{h}", f"{limit}x{limit}", cure)


def features(program: ChipProgram) -> Iterator[Finding]:
    """A core has at most 1,024 input and output features."""
    limit = load(program.target).features
    for size in sizes(program):
        most = max(size.in_shape[0], size.out_shape[0])
        if most > limit:
            yield _found("features", size, f"{most} features", str(limit), f"use at most {limit} features")


def square_kernel(program: ChipProgram) -> Iterator[Finding]:
    """Kernels are square; so is the map that a dense layer reads."""
    for size in sizes(program):
        y, x = size.kernel
        if y != x:
            dense = size.layer.connection.kind == "dense"
            cure = "make the map it reads square" if dense else "fill the kernel with zeros to a square"
            yield _found("square_kernel", size, f"kernel {x}x{y}", "width equal to height", cure)


def kernel_side(program: ChipProgram) -> Iterator[Finding]:
    """Kernels are at most 16 x 16."""
    limit = load(program.target).kernel_side
    for size in sizes(program):
        if max(size.kernel) > limit:
            y, x = size.kernel
            cure = "pool or stride more before this layer, or use a smaller kernel"
            yield _found("kernel_side", size, f"kernel {x}x{y}", f"{limit}x{limit}", cure)


def stride(program: ChipProgram) -> Iterator[Finding]:
    """Strides are 1, 2, 4 or 8."""
    limit = load(program.target).strides
    for size in _convolutions(program):
        if not set(size.layer.connection.stride) <= set(limit):
            yield _found("stride", size, f"stride {size.layer.connection.stride}", _any_of(limit), "choose one of them")


def padding(program: ChipProgram) -> Iterator[Finding]:
    """Padding is 0 to 7."""
    limit = load(program.target).padding
    for size in _convolutions(program):
        if not all(0 <= side <= limit for side in size.layer.connection.padding):
            measured = f"padding {size.layer.connection.padding}"
            yield _found("padding", size, measured, f"0 to {limit}", "pad less or use a smaller kernel")


def no_groups(program: ChipProgram) -> Iterator[Finding]:
    """Every feature listens to every input channel."""
    for size in _convolutions(program):
        groups = size.layer.connection.groups
        if groups != 1:
            yield _found("no_groups", size, f"{groups} groups", "1", "write the kernel out with zeros between groups")


def no_dilation(program: ChipProgram) -> Iterator[Finding]:
    """Kernels have no gaps."""
    for size in _convolutions(program):
        dilation = size.layer.connection.dilation
        if dilation != (1, 1):
            yield _found("no_dilation", size, f"dilation {dilation}", "(1, 1)", "write the kernel out with zeros")


def pool(program: ChipProgram) -> Iterator[Finding]:
    """Sum-pooling is over 1, 2 or 4."""
    limit = load(program.target).pools
    for size in sizes(program):
        if size.layer.pool not in limit:
            yield _found("pool", size, f"pooling {size.layer.pool}", _any_of(limit), "choose one of them")


def speck_neurons(program: ChipProgram) -> Iterator[Finding]:
    """Neurons integrate and fire without memory constants."""
    for size in sizes(program):
        kind = type(size.layer.neuron).__name__
        if kind != "SpeckNeuron":
            yield _found("speck_neurons", size, kind, "SpeckNeuron", "train the network with the neuron of this chip")


def weight_bits(program: ChipProgram) -> Iterator[Finding]:
    """Weights are signed 8-bit integers."""
    bits = load(program.target).weight_bits
    for size in sizes(program):
        weight = size.layer.connection.weight
        if not _within(int(weight.min()), int(weight.max()), bits) or weight.dtype.kind not in "iu":
            measured = f"weights {weight.min()}..{weight.max()} ({weight.dtype})"
            yield _found("weight_bits", size, measured, _range(bits), "quantise the layer again")


def bias_bits(program: ChipProgram) -> Iterator[Finding]:
    """Biases are signed 8-bit integers."""
    bits = load(program.target).bias_bits
    for size in sizes(program):
        bias = size.layer.neuron.bias
        if not _within(int(bias.min()), int(bias.max()), bits) or bias.dtype.kind not in "iu":
            measured = f"biases {bias.min()}..{bias.max()} ({bias.dtype})"
            yield _found("bias_bits", size, measured, _range(bits), "train with smaller biases and quantise again")


def threshold_bits(program: ChipProgram) -> Iterator[Finding]:
    """Threshold and lower bound fit the 16-bit state, on either side of the start at 0."""
    bits = load(program.target).state_bits
    for size, neuron in _neurons(program):
        most = (1 << (bits - 1)) - 1
        if not 1 <= neuron.threshold <= most or not -most - 1 <= neuron.low <= 0:
            measured = f"threshold {neuron.threshold}, lower bound {neuron.low}"
            allowed = f"1..{most} and {-most - 1}..0"
            yield _found("threshold_bits", size, measured, allowed, "quantise the layer again")


def weight_below_threshold(program: ChipProgram) -> Iterator[Finding]:
    """One event must not take a neuron to twice its threshold: it sends one spike an event, and the rest waits or goes.

    From just below the threshold that takes a weight above the threshold. Source: sinabs, tips for training.
    """
    for size, neuron in _neurons(program):
        most = int(size.layer.connection.weight.max())
        if most > neuron.threshold:
            late = "spikes that come late" if neuron.reset == "subtract" else "fewer spikes than a clocked run has"
            cure = f"clip weights at the threshold in training, or expect {late}"
            measured, allowed = f"weight {most}", f"threshold {neuron.threshold}"
            yield _found("weight_below_threshold", size, measured, allowed, cure, "warning")


def leak_clock(program: ChipProgram) -> Iterator[Finding]:
    """A bias is added per tick of a slow clock, which on the chip alone is not accurate (sinabs, overview)."""
    for size, neuron in _neurons(program):
        if neuron.bias.any():
            measured = f"{int((neuron.bias != 0).sum())} biases per step of {program.dt_us} us"
            cure = f"set the board's slow clock to {1e6 / program.dt_us:g} Hz, or train without bias"
            yield _found("leak_clock", size, measured, "an exact clock only from the board", cure, "warning")


def two_destinations(program: ChipProgram) -> Iterator[Finding]:
    """A core sends to at most two others; so does the camera layer, which the host need not use."""
    limit = load(program.target).destinations
    for name, hearers in destinations(program).items():
        if len(hearers) > limit:
            measured = f"{len(hearers)} destinations ({', '.join(hearers)})"
            cure = f"let {limit} layers hear it, or pass its spikes on by a layer with a 1x1 kernel"
            if name == "input":
                cure = f"send the host's events to each of them, as the camera reaches {limit}"
            severity: Severity = "warning" if name == "input" else "error"
            yield Finding(
                "two_destinations", severity, name if name == "input" else f"layer {name}", measured, str(limit), cure
            )


def same_maps(program: ChipProgram) -> Iterator[Finding]:
    """What a core hears of several senders has one shape."""
    sent = {"input": program.input.shape} | {layer.name: layer.sent_shape for layer in program.layers}
    for size, names in zip(sizes(program), program.sources, strict=True):
        shapes = list(dict.fromkeys(sent[name] for name in names))
        if len(shapes) > 1:
            measured = f"maps {' and '.join(map(str, shapes))} of {', '.join(names)}"
            cure = "give the layers before it maps of one size, by stride or pooling"
            yield _found("same_maps", size, measured, "one shape", cure)


def readout_classes(program: ChipProgram) -> Iterator[Finding]:
    """The on-chip read-out layer knows 15 classes; more outputs are read by the host over the monitor bus."""
    limit = load(program.target).readout_classes
    outputs = prod(program.layers[-1].sent_shape)
    if _spread(program):
        outputs = -(-outputs // load(program.target).readout_spacing)
    if outputs > limit:
        does = ", as the program's read-out does" if program.readout else ""
        cure = f"read the output spikes on the host{does}, or use fewer outputs"
        size = sizes(program)[-1]
        yield _found("readout_classes", size, f"{outputs} outputs", f"{limit} on the chip", cure, "warning")


def readout_spacing(program: ChipProgram) -> Iterator[Finding]:
    """Class k + 1 of the on-chip read-out listens to feature 4 k on Speck 2e and 2f, where no host reads it."""
    spacing, outputs = load(program.target).readout_spacing, program.layers[-1].out_shape[0]
    if program.readout is None and spacing > 1 and outputs > 1 and not _spread(program):
        cure = f"read the output spikes on the host, or put {spacing - 1} silent features between two classes"
        size, measured = sizes(program)[-1], f"{outputs} outputs side by side"
        yield _found("readout_spacing", size, measured, f"every {spacing}th feature a class", cure, "warning")


def kernel_memory(program: ChipProgram) -> Iterator[Finding]:
    """The kernels fit the largest kernel memory."""
    yield from _memory(program, "kernel")


def neuron_memory(program: ChipProgram) -> Iterator[Finding]:
    """The neurons fit the largest neuron memory."""
    yield from _memory(program, "neuron")


def bias_memory(program: ChipProgram) -> Iterator[Finding]:
    """The biases fit the bias memory."""
    yield from _memory(program, "bias")


def fits_a_core(program: ChipProgram) -> list[Finding]:
    """Each layer whose memories fit one by one finds a core that holds them together."""
    chip = load(program.target)
    largest = Memory(*map(max, zip(*chip.cores, strict=True)))
    return misfits([size for size in sizes(program) if size.memory().fits(largest)], chip)


def cores_suffice(program: ChipProgram) -> list[Finding]:
    """All layers find cores at the same time."""
    chip = load(program.target)
    return crowding([size for size in sizes(program) if not misfits([size], chip)], chip)


RULES: list[Rule] = [
    camera_layer,
    input_side,
    map_side,
    features,
    square_kernel,
    kernel_side,
    stride,
    padding,
    no_groups,
    no_dilation,
    pool,
    speck_neurons,
    weight_bits,
    bias_bits,
    threshold_bits,
    weight_below_threshold,
    leak_clock,
    two_destinations,
    same_maps,
    readout_classes,
    readout_spacing,
    kernel_memory,
    neuron_memory,
    bias_memory,
    fits_a_core,
    cores_suffice,
]

SIZE_RULES: list[Rule] = [
    input_side,
    map_side,
    features,
    kernel_side,
    stride,
    kernel_memory,
    neuron_memory,
    bias_memory,
    fits_a_core,
    cores_suffice,
]
"""Those that another size of the network mends, or that a larger stride might break."""


def _found(rule: str, size: LayerSize, measured: str, limit: str, cure: str, severity: Severity = "error") -> Finding:
    return Finding(rule, severity, f"layer {size.layer.name}", measured, limit, cure)


def _memory(program: ChipProgram, kind: str) -> Iterator[Finding]:
    cores = load(program.target).cores
    limit = max(getattr(core, kind) for core in cores)
    for size in sizes(program):
        words = getattr(size.memory(), kind)
        if words > limit:
            yield _found(f"{kind}_memory", size, f"{words} words", str(limit), smallest_change(size, cores))


def _convolutions(program: ChipProgram) -> list[LayerSize]:
    return [size for size in sizes(program) if size.layer.connection.kind == "conv"]


def _neurons(program: ChipProgram) -> list[tuple[LayerSize, SpeckNeuron]]:
    return [(size, size.layer.neuron) for size in sizes(program) if isinstance(size.layer.neuron, SpeckNeuron)]


def _spread(program: ChipProgram) -> bool:
    """Whether the last layer has its classes at every `readout_spacing`-th feature, and silent ones between."""
    last, spacing = program.layers[-1], load(program.target).readout_spacing
    silent = [feature for feature in range(last.out_shape[0]) if feature % spacing]
    return bool(silent) and not last.connection.weight[silent].any() and not last.neuron.bias[silent].any()


def _within(low: int, high: int, bits: int) -> bool:
    return -(1 << (bits - 1)) <= low and high < 1 << (bits - 1)


def _range(bits: int) -> str:
    return f"integers {-(1 << (bits - 1))}..{(1 << (bits - 1)) - 1}"


def _any_of(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
