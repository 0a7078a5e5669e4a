"""Splits layers over neuro-cores by channels and rows.

A core holds one layer's slice, packed as `PACKING` says; the bytes of each item are in the chip's table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from hardware.loihi.axons import Destinations, Hearing, Part, hearings
from hardware.loihi.chip import LoihiChip, load
from hardware.program import ChipProgram, CoreSlice, Layer
from hardware.rules import CoreUse, Use

PACKING = (
    "one layer a core; a convolution's kernels once a core, shared by all positions, a dense layer's synapses one by "
    "one, 8 bits each; an axon in for each neuron heard, an axon out for each neuron and core that hears it"
)
"""Shared kernels: Loihi's population connectivity (Davies et al. 2018). Its spikes of whole populations, which can
share axons too, are left out: axons are counted at their most."""


def place(program: ChipProgram) -> tuple[tuple[CoreSlice, ...], list[CoreUse]]:
    """A placement with few cores, in slices of nearly equal size.

    From the last layer to the first, as the cores that hear a layer decide how many axons its neurons need. Cores
    are numbered from 0 on, past the chip's last one if need be (the rule `cores_available` reports it); a layer
    of which no slice fits a core is left out (the rule `layers_fit_cores` reports it).

    Raises:
        NeuvaError: if there is no table for the program's target.
    """
    chip, heard = load(program.target), hearings(program)
    parts: dict[str, list[Part]] = {}
    for layer in reversed(program.layers):
        there = destinations(program, layer, heard, parts)
        parts[layer.name] = _split(layer, heard[layer.name], there, chip)
    every = [(layer.name, part) for layer in program.layers for part in parts[layer.name]]
    placement = tuple(CoreSlice(core, name, *part) for core, (name, part) in enumerate(every))
    return placement, core_use(program, placement)


def core_use(program: ChipProgram, placement: Sequence[CoreSlice]) -> list[CoreUse]:
    """What each core's slices use of its neurons, memory and axons; slices that share a core are counted apart."""
    chip, heard = load(program.target), hearings(program)
    layers = {layer.name: layer for layer in program.layers}
    parts = {name: [_part(each) for each in placement if each.layer == name] for name in layers}
    there = {name: destinations(program, layer, heard, parts) for name, layer in layers.items()}
    cores: dict[int, list[CoreSlice]] = {}
    for part in placement:
        cores.setdefault(part.core, []).append(part)
    result = []
    for core, slices in sorted(cores.items()):
        uses = [slice_use(layers[k.layer], heard[k.layer], there[k.layer], _part(k), chip) for k in slices]
        total = {key: (sum(use[key][0] for use in uses), uses[0][key][1]) for key in uses[0]}
        result.append(CoreUse(core, tuple(part.layer for part in slices), total))
    return result


def destinations(
    program: ChipProgram, layer: Layer, heard: dict[str, Hearing], parts: dict[str, list[Part]]
) -> Destinations | None:
    """The slices that hear a layer; None where nothing but the host does."""
    listening = zip(program.layers, program.sources, strict=True)
    there = [(heard[other.name], parts[other.name]) for other, names in listening if layer.name in names]
    return Destinations(there) if there else None


def slice_use(layer: Layer, heard: Hearing, there: Destinations | None, part: Part, chip: LoihiChip) -> Use:
    """Neurons, bytes of memory and axons of a slice: resource -> (used, limit).

    Args:
        layer: the slice's layer.
        heard: what the layer hears.
        there: what hears it; the host, where it is None, is one destination.
        part: the slice.
        chip: whose limits.
    """
    channels, link = part.c1 - part.c0, layer.connection
    neurons = channels * (part.y1 - part.y0) * layer.out_shape[2]
    fan_in, fan_out = heard.fan_in(part), neurons if there is None else there.fan_out(part)
    stored = (
        neurons * (fan_in // heard.sources) if link.kind == "dense" else channels * int(np.prod(link.weight.shape[1:]))
    )
    memory = stored * chip.synapse_bytes + neurons * chip.neuron_bytes + (fan_in + fan_out) * chip.axon_bytes
    return {
        "neurons": (neurons, chip.neurons_per_core),
        "memory bytes": (memory, chip.memory_bytes_per_core),
        "axons in": (fan_in, chip.fan_in_axons_per_core),
        "axons out": (fan_out, chip.fan_out_axons_per_core),
    }


def over(use: Use) -> Iterator[tuple[str, int, int]]:
    """Resources of which more is used than there is: name, used, limit."""
    for what, (used, limit) in use.items():
        if limit is not None and used > limit:
            yield what, used, limit


def smallest_slices(layer: Layer, heard: Hearing, there: Destinations | None, chip: LoihiChip) -> Iterator[Use]:
    """What each single row of a channel uses; channels of one group are alike."""
    for c in range(0, layer.out_shape[0], heard.group_out):
        for y in range(layer.out_shape[1]):
            yield slice_use(layer, heard, there, Part(c, c + 1, y, y + 1), chip)


def _split(layer: Layer, heard: Hearing, there: Destinations | None, chip: LoihiChip) -> list[Part]:
    """As few slices as can be, fewest by channels among those; none if one row of a channel is too much for a core."""
    if any(any(over(use)) for use in smallest_slices(layer, heard, there, chip)):
        return []
    channels, height, _ = layer.out_shape
    least = -(-layer.neurons // chip.neurons_per_core)
    best: tuple[int, int, int] | None = None
    for channel_parts in range(1, channels + 1):
        for row_parts in range(max(1, -(-least // channel_parts)), height + 1):
            cores = channel_parts * row_parts
            if best and cores >= best[0]:
                break
            if _fit(_parts(channels, channel_parts, height, row_parts), layer, heard, there, chip):
                best = (cores, channel_parts, row_parts)
                break
    return _parts(channels, best[1], height, best[2]) if best else []


def _fit(parts: list[Part], layer: Layer, heard: Hearing, there: Destinations | None, chip: LoihiChip) -> bool:
    middle = len(parts) // 2  # away from the borders slices are fullest: look there first
    return not any(any(over(slice_use(layer, heard, there, part, chip))) for part in parts[middle:] + parts[:middle])


def _parts(channels: int, channel_parts: int, height: int, row_parts: int) -> list[Part]:
    c = [channels * k // channel_parts for k in range(channel_parts + 1)]
    y = [height * k // row_parts for k in range(row_parts + 1)]
    return [Part(c0, c1, y0, y1) for c0, c1 in pairwise(c) for y0, y1 in pairwise(y)]


def _part(part: CoreSlice) -> Part:
    return Part(part.c0, part.c1, part.y0, part.y1)
