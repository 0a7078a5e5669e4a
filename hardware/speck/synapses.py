"""A layer of a Speck program as one core holds it: a bank of kernels that each incoming event is laid through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware.program import ChipProgram, Layer, Shape, SpeckNeuron
from hardware.trace import Spikes
from neuva import NeuvaError


@dataclass(frozen=True)
class Synapses:
    """One layer, its synapses as a convolution (a dense layer is one whose kernel covers the whole map).

    sources: names of what it hears: layers before it, or "input".
    in_shape: (C, H, W) of the spikes it receives, as its sources send them.
    weight: int32 [C, K_y, K_x, F], so that the features an event reaches lie side by side in memory.
    stride, padding: (y, x).
    bias: int32 [F].
    """

    layer: Layer
    neuron: SpeckNeuron
    sources: tuple[str, ...]
    in_shape: Shape
    weight: np.ndarray
    stride: tuple[int, int]
    padding: tuple[int, int]
    bias: np.ndarray

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @property
    def features(self) -> int:
        """F, number of output features."""
        return int(self.weight.shape[3])

    @property
    def kernel(self) -> tuple[int, int]:
        """(K_y, K_x)."""
        return int(self.weight.shape[1]), int(self.weight.shape[2])

    @property
    def leaks(self) -> bool:
        """Whether a bias is added at each tick of the leak clock."""
        return bool(self.bias.any())

    def largest_sum(self, count: int) -> int:
        """Bound on |v| within a step in which no input sends more than `count` spikes."""
        weights = int(np.abs(self.weight.astype(np.int64)).sum(axis=(0, 1, 2)).max(initial=0))
        return weights * count + int(np.abs(self.bias).max(initial=0)) + max(self.neuron.threshold, -self.neuron.low)

    def operations(self, received: Spikes) -> int:
        """Synaptic operations of spikes it receives: each spike times the synapses it reaches inside the map."""
        _, y, x = np.unravel_index(received.neuron, self.in_shape)
        return int((received.count * self.reached(y, x)).sum())

    def reached(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Synapses inside the map that a spike reaches from each of some places, int64 like `y` and `x`."""
        taps = np.full(np.shape(y), self.features, np.int64)
        for axis, place in enumerate((y, x)):
            size, kernel, stride = self.layer.out_shape[axis + 1], self.kernel[axis], self.stride[axis]
            shifted = place + self.padding[axis]
            first = np.maximum(0, (shifted - kernel + stride) // stride)
            taps *= np.maximum(0, np.minimum(size, shifted // stride + 1) - first)
        return taps


def synapses(program: ChipProgram) -> list[Synapses]:
    """The layers of a Speck program, each with its sources and the shape of what reaches it.

    Raises:
        NeuvaError: if the program is of another family, or a layer's sizes, kind or constants make no Speck layer.
    """
    sent = {"input": program.input.shape} | {layer.name: layer.sent_shape for layer in program.layers}
    return [
        _synapses(layer, names, [sent[name] for name in names])
        for layer, names in zip(program.layers, program.sources, strict=True)
    ]


def _synapses(layer: Layer, names: tuple[str, ...], shapes: list[Shape]) -> Synapses:
    link, neuron, shape = layer.connection, layer.neuron, shapes[0]
    if any(other != shape for other in shapes):
        raise NeuvaError(
            f"layer {layer.name} hears {', '.join(names)}, which send {', '.join(map(str, shapes))}; a Speck core has "
            "one input shape: let them send maps of the same shape"
        )
    if not isinstance(neuron, SpeckNeuron):
        raise NeuvaError(f"layer {layer.name} has Loihi's neurons: convert the network for a Speck chip")
    if link.groups != 1 or link.dilation != (1, 1) or link.weight_exp != 0:
        raise NeuvaError(
            f"layer {layer.name} has groups {link.groups}, dilation {link.dilation}, weight exponent "
            f"{link.weight_exp}; a Speck core has 1, (1, 1) and 0: write the kernel out with zeros"
        )
    dense = link.kind == "dense"
    if dense and layer.out_shape[1:] != (1, 1):
        raise NeuvaError(f"layer {layer.name} is dense and gives {layer.out_shape}, allowed {layer.neurons, 1, 1}")
    weight = link.weight.reshape(-1, *shape) if dense else link.weight
    stride, padding = ((1, 1), (0, 0)) if dense else (link.stride, link.padding)
    if neuron.threshold < 1 or neuron.low > 0:
        raise NeuvaError(
            f"layer {layer.name} has threshold {neuron.threshold} and lower bound {neuron.low}, "
            "allowed at least 1 and at most 0: quantise the network again"
        )
    bank = np.ascontiguousarray(weight.transpose(1, 2, 3, 0), dtype=np.int32)
    return Synapses(layer, neuron, names, shape, bank, stride, padding, neuron.bias.astype(np.int32))
