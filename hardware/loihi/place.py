"""Splits layers over neuro-cores by channels and rows.

The packing assumed. A core holds one layer's slice. A convolution's kernels are stored once a core and shared by all
positions (Loihi's population connectivity, Davies et al. 2018); a dense layer stores every synapse. Each source
neuron that reaches the slice takes one fan-in axon. The bytes of each item are in the chip's table.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hardware.loihi.chip import LoihiChip, load
from hardware.program import ChipProgram, CoreSlice, Layer, Shape
from hardware.rules import CoreUse
from neuva import NeuvaError

Use = dict[str, tuple[int, int]]


def place(program: ChipProgram) -> tuple[tuple[CoreSlice, ...], list[CoreUse]]:
    """A placement with as few cores for each layer as its limits allow, in slices of nearly equal size.

    Cores are numbered from 0 on, past the chip's last one if need be (the rule `cores_available` reports it).

    Raises:
        NeuvaError: if one row of one channel is too much for a core.
    """
    chip = load(program.target)
    slices: list[CoreSlice] = []
    for layer, in_shape in zip(program.layers, received(program), strict=True):
        for c0, c1, y0, y1 in _split(layer, in_shape, chip):
            slices.append(CoreSlice(len(slices), layer.name, c0, c1, y0, y1))
    return tuple(slices), core_use(program, slices)


def core_use(program: ChipProgram, placement: Sequence[CoreSlice]) -> list[CoreUse]:
    """What each core's slices use of its neurons, memory and fan-in axons."""
    chip = load(program.target)
    layers = {layer.name: (layer, shape) for layer, shape in zip(program.layers, received(program), strict=True)}
    cores: dict[int, list[CoreSlice]] = {}
    for part in placement:
        cores.setdefault(part.core, []).append(part)
    result = []
    for core, parts in sorted(cores.items()):
        uses = [slice_use(*layers[part.layer], (part.c0, part.c1), (part.y0, part.y1), chip) for part in parts]
        total = {key: (sum(use[key][0] for use in uses), uses[0][key][1]) for key in uses[0]}
        result.append(CoreUse(core, tuple(part.layer for part in parts), total))
    return result


def received(program: ChipProgram) -> list[Shape]:
    """(C, H, W) of the spikes each layer receives."""
    return [program.input.shape, *(layer.sent_shape for layer in program.layers[:-1])]


def slice_use(layer: Layer, in_shape: Shape, channels: tuple[int, int], rows: tuple[int, int], chip: LoihiChip) -> Use:
    """Neurons, memory bytes and fan-in axons of a slice: resource -> (used, limit).

    Args:
        layer: the slice's layer.
        in_shape: (C, H, W) it receives.
        channels: c0, c1 of the slice.
        rows: y0, y1 of the slice.
        chip: whose limits.
    """
    count, axons = channels[1] - channels[0], fan_in(layer, in_shape, channels, rows)
    neurons = count * (rows[1] - rows[0]) * layer.out_shape[2]
    synapses = (
        neurons * axons if layer.connection.kind == "dense" else count * int(np.prod(layer.connection.weight.shape[1:]))
    )
    memory = synapses * chip.synapse_bytes + neurons * chip.neuron_bytes + axons * chip.axon_bytes
    use = {"neurons": (neurons, chip.neurons_per_core), "memory bytes": (memory, chip.memory_bytes_per_core)}
    if chip.fan_in_axons_per_core is not None:
        use["fan-in axons"] = (axons, chip.fan_in_axons_per_core)
    return use


def fan_in(layer: Layer, in_shape: Shape, channels: tuple[int, int], rows: tuple[int, int]) -> int:
    """Source neurons that reach at least one neuron of the slice."""
    link = layer.connection
    if link.kind == "dense":
        return int(np.prod(in_shape))
    k_y, k_x = link.weight.shape[2:]
    in_rows = _reached(in_shape[1], range(*rows), k_y, link.stride[0], link.padding[0], link.dilation[0])
    in_columns = _reached(
        in_shape[2], range(layer.out_shape[2]), k_x, link.stride[1], link.padding[1], link.dilation[1]
    )
    per_group = layer.out_shape[0] // link.groups
    groups = (channels[1] - 1) // per_group - channels[0] // per_group + 1
    return groups * link.weight.shape[1] * in_rows * in_columns


def _reached(inputs: int, outputs: range, kernel: int, stride: int, padding: int, dilation: int) -> int:
    places = np.add.outer(np.asarray(outputs) * stride - padding, np.arange(kernel) * dilation)
    return len(np.unique(places[(places >= 0) & (places < inputs)]))


def _split(layer: Layer, in_shape: Shape, chip: LoihiChip) -> list[tuple[int, int, int, int]]:
    """Channel and row ranges, each small enough for a core, with the fewest cores; fewest channel parts among those."""
    channels, height, _ = layer.out_shape
    best: tuple[int, int, int] | None = None
    for channel_parts in range(1, channels + 1):
        for row_parts in range(1, height + 1):
            cores = channel_parts * row_parts
            if best and cores >= best[0]:
                break
            if all(_fits(layer, in_shape, part, chip) for part in _parts(channels, channel_parts, height, row_parts)):
                best = (cores, channel_parts, row_parts)
                break
    if best is None:
        use = slice_use(layer, in_shape, (0, 1), (0, 1), chip)
        what, (used, limit) = max(use.items(), key=lambda item: item[1][0] / item[1][1])
        raise NeuvaError(
            f"layer {layer.name}: one row of one channel takes {used} {what}, {chip.name} allows {limit} a core: "
            "make the layer before it smaller"
        )
    return _parts(channels, best[1], height, best[2])


def _fits(layer: Layer, in_shape: Shape, part: tuple[int, int, int, int], chip: LoihiChip) -> bool:
    use = slice_use(layer, in_shape, part[:2], part[2:], chip)
    return all(used <= limit for used, limit in use.values())


def _parts(channels: int, channel_parts: int, height: int, row_parts: int) -> list[tuple[int, int, int, int]]:
    c = [channels * k // channel_parts for k in range(channel_parts + 1)]
    y = [height * k // row_parts for k in range(row_parts + 1)]
    return [(c0, c1, y0, y1) for c0, c1 in pairwise(c) for y0, y1 in pairwise(y)]
