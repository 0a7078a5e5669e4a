"""What a layer takes of a core's memories, and which layer goes to which core."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hardware.program import ChipProgram, CoreSlice, Layer, Shape
from hardware.rules import CoreUse, Finding
from hardware.speck.chip import Chip, Memory, load


@dataclass(frozen=True)
class LayerSize:
    """A layer as the chip would hold it; a dense one is a convolution whose kernel covers its whole input.

    in_shape: (C, H, W) it receives; out_shape: (F, H, W) of its neurons; kernel: (y, x); leaks: has a bias.
    """

    layer: Layer
    in_shape: Shape
    out_shape: Shape
    kernel: tuple[int, int]
    leaks: bool

    def memory(self, features: int | None = None) -> Memory:
        """Words it needs, with another number of features if asked.

        kernel = c 2^(ceil(log2 k_x k_y) + ceil(log2 f));  neuron = f 2^(ceil(log2 f_y) + ceil(log2 f_x));
        bias = f if there is any. Source: sinabs 3.1.3, DynapcnnLayer.memory_summary.
        """
        f, h, w = self.out_shape
        f = features or f
        kernel = self.in_shape[0] * _power_of_two(self.kernel[0] * self.kernel[1]) * _power_of_two(f)
        return Memory(kernel, f * _power_of_two(h) * _power_of_two(w), f if self.leaks else 0)


def destinations(program: ChipProgram) -> dict[str, list[str]]:
    """Layer, or "input" -> the layers that hear it, in the program's order; none hear what the host alone reads."""
    heard: dict[str, list[str]] = {name: [] for name in ("input", *(layer.name for layer in program.layers))}
    for layer, names in zip(program.layers, program.sources, strict=True):
        for name in names:
            heard[name].append(layer.name)
    return heard


def sizes(program: ChipProgram) -> list[LayerSize]:
    """The sizes of all layers, also of ones that no Speck chip could run."""
    sent, found = {"input": program.input.shape} | {layer.name: layer.sent_shape for layer in program.layers}, []
    for layer, names in zip(program.layers, program.sources, strict=True):
        shape = sent[names[0]]
        kernel = shape[1:] if layer.connection.kind == "dense" else layer.connection.weight.shape[2:4]
        leaks = bool(layer.neuron.bias.any())
        found.append(LayerSize(layer, shape, layer.out_shape, (int(kernel[0]), int(kernel[1])), leaks))
    return found


def place(program: ChipProgram) -> tuple[tuple[CoreSlice, ...], list[CoreUse]]:
    """One core for each layer, by maximum bipartite matching; a layer prefers the smallest core that holds it.

    As many layers as possible get one; the rules of `RULES` report those that are left out, and the smallest change.

    Returns:
        the placement, and what it uses of each core.

    Raises:
        NeuvaError: if there is no table for the program's target.
    """
    chip, layers = load(program.target), sizes(program)
    cores, _ = _match([_candidates(layer, chip) for layer in layers])
    placement, uses = [], []
    for layer, core in zip(layers, cores, strict=True):
        if core < 0:
            continue
        name, (features, height, _) = layer.layer.name, layer.out_shape
        placement.append(CoreSlice(core, name, 0, features, 0, height))
        used, there = layer.memory()._asdict(), chip.cores[core]._asdict()
        uses.append(CoreUse(core, (name,), {f"{key} words": (used[key], there[key]) for key in used}))
    return tuple(placement), uses


def misfits(layers: Iterable[LayerSize], chip: Chip) -> list[Finding]:
    """Layers that no core can hold, each with the smallest change."""
    return [
        Finding(
            "fits_a_core",
            "error",
            f"layer {layer.layer.name}",
            _words(layer.memory()),
            "on one core " + " or ".join(_words(core) for core in dict.fromkeys(chip.cores)),
            smallest_change(layer, chip.cores),
        )
        for layer in layers
        if not _candidates(layer, chip)
    ]


def crowding(layers: Sequence[LayerSize], chip: Chip) -> list[Finding]:
    """Layers that fit one by one but are too many for the cores that can hold them."""
    candidates = [_candidates(layer, chip) for layer in layers]
    _, crowd = _match(candidates)
    if not crowd:
        return []
    wanted = sorted({core for index in crowd for core in candidates[index]})
    return [
        Finding(
            "cores_suffice",
            "error",
            f"layers {', '.join(layers[index].layer.name for index in crowd)}",
            f"{len(crowd)} layers that only cores {', '.join(map(str, wanted))} can hold",
            f"{len(wanted)} layers there",
            f"drop or merge {len(crowd) - len(wanted)} of them, or make as many small enough for another core",
        )
    ]


def smallest_change(layer: LayerSize, cores: Sequence[Memory]) -> str:
    """What to change, as little as possible, for one of the cores to hold the layer."""
    features = _features_that_fit(layer, cores)
    if features:
        return f"{features} features instead of {layer.out_shape[0]}, or a smaller map by stride or pooling"
    return "fewer input channels and a smaller map, by stride or pooling in the layers before"


def _match(candidates: list[list[int]]) -> tuple[list[int], list[int]]:
    """Maximum bipartite matching by augmenting paths.

    Returns:
        the core of each layer (-1 where there is none), and the layers of a first crowd: more layers than all the
        cores that any of them can take (Hall's theorem), empty if every layer has a core.
    """
    holder: dict[int, int] = {}

    def augment(layer: int, seen: set[int]) -> bool:
        for core in candidates[layer]:
            if core not in seen:
                seen.add(core)
                if core not in holder or augment(holder[core], seen):
                    holder[core] = layer
                    return True
        return False

    crowd: list[int] = []
    for layer in range(len(candidates)):
        seen: set[int] = set()
        if not augment(layer, seen) and not crowd:
            crowd = sorted({layer} | {holder[core] for core in seen})
    cores = {layer: core for core, layer in holder.items()}
    return [cores.get(layer, -1) for layer in range(len(candidates))], crowd


def _candidates(layer: LayerSize, chip: Chip) -> list[int]:
    need = layer.memory()
    fitting = [index for index, core in enumerate(chip.cores) if need.fits(core)]
    return sorted(fitting, key=lambda index: (sum(chip.cores[index]), index))


def _features_that_fit(layer: LayerSize, cores: Sequence[Memory]) -> int:
    """The most features, up to its own, with which one of the cores would hold the layer; 0 if none does."""
    for features in range(layer.out_shape[0], 0, -1):
        if any(layer.memory(features).fits(core) for core in cores):
            return features
    return 0


def _words(memory: Memory) -> str:
    return f"{memory.kernel} kernel, {memory.neuron} neuron, {memory.bias} bias words"


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()
