"""A NIR graph's nodes as layers, each a synapse, its neurons and pooling; then, where there is one, the read-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import nir
import numpy as np

from conversion.nir_graph import Step
from conversion.nir_neuron import NEURONS, NEUTRAL, Said, Shape, decay, from_node, numbers, per_channel
from conversion.nir_synapse import SYNAPSES, Synapse, pool_side, read_synapse
from neuva import NeuvaError
from snn.networks import LayerSpec
from snn.neurons import Neuron

LAYERS = (
    "a chip network is made of layers of convolution or linear, neurons (IF, LIF, CubaLIF) and pooling, and ends in "
    "neurons, in a linear map or in one with a leaky integrator"
)
INPUT = -1
"""Number of what stands before the first layer."""


class Population(NamedTuple):
    """A layer: its synapse with all gains folded in, its neuron, and the numbers of the layers it hears."""

    synapse: Synapse
    neuron: Neuron
    sources: tuple[int, ...]

    def spec(self, biased: bool, pool: int, sources: tuple[str, ...]) -> LayerSpec:
        """Its specification; with a bias if it is `biased` or has one other than 0."""
        link, bias = self.synapse, biased or bool(self.synapse.bias.any())
        if link.dense:
            return LayerSpec("dense", len(link.weight), self.neuron, bias=bias, pool=pool, sources=sources)
        ky, kx = link.weight.shape[2:]
        return LayerSpec(
            "conv",
            len(link.weight),
            self.neuron,
            kernel=(ky, kx),
            stride=link.stride,
            padding=link.padding,
            dilation=link.dilation,
            groups=link.groups,
            bias=bias,
            pool=pool,
            sources=sources,
        )


class Map(NamedTuple):
    """The read-out y = weight r + offset, r[t] = decay r[t-1] + s[t]."""

    weight: np.ndarray
    offset: np.ndarray
    decay: float


@dataclass(frozen=True)
class Signal:
    """What a node gives: spikes of layers added up, each entry times a factor, or what a synapse makes of them.

    sources: (number, side of the pooling) of each of these layers. shape, scale: of spikes and factors, (C, H, W).
    link: the synapse, whose neurons are still to come. trace: decay of the integrator behind it.
    """

    sources: tuple[tuple[int, int], ...]
    shape: Shape
    scale: np.ndarray
    link: Synapse | None = None
    trace: float | None = None


class Reader:
    """Walks a graph node by node.

    said: what the graph leaves unsaid of its neurons. batch: leading axes of 1 that the graph's shapes have.
    """

    def __init__(self, said: Said, batch: int) -> None:
        self.said, self.batch = said, batch
        self.layers: list[Population] = []
        self.pools: dict[int, int] = {}

    def read(self, steps: Sequence[Step], shape: Shape) -> tuple[list[Population], Map | None]:
        """The layers and the read-out of all nodes from the input, of (C, H, W), to the output.

        Raises:
            NeuvaError: names the node, what it is and what to do.
        """
        given: dict[str, Signal] = {}
        last = _plain(INPUT, shape)
        for name, node, before in steps:
            heard = _added(name, [given[each] for each in before]) if before else last
            found = heard if isinstance(node, nir.Input | nir.Output) else self._take(name, node, heard)
            if found is None:
                kind = "left out by its exporter" if node is None else f"a {type(node).__name__}"
                raise NeuvaError(f"node {name} is {kind}, which cannot stand here: {LAYERS}; replace or remove it")
            given[name] = last = found
        if not self.layers:
            raise NeuvaError(f"the graph has no spiking neurons: {LAYERS}")
        return self.layers, self._end(last)

    def specs(self, names: Sequence[str], biased: Sequence[str]) -> tuple[LayerSpec, ...]:
        """The specifications of the layers read, under these names."""
        called = {INPUT: "input", **dict(enumerate(names))}
        return tuple(
            layer.spec(
                names[index] in biased,
                self.pools.get(index, 1),
                tuple(called[source] for source in layer.sources),
            )
            for index, layer in enumerate(self.layers)
        )

    def _end(self, last: Signal) -> Map | None:
        """The read-out, None where the graph ends in neurons."""
        self._heard("output", last)
        if [index for index, _ in last.sources] != [len(self.layers) - 1]:
            raise NeuvaError(
                "the output hears more than the last layer: add them up in one more layer of neurons, or export one"
            )
        if last.link is not None:
            return Map(last.link.weight, last.link.bias, last.trace or 0.0)
        if not np.all(last.scale == 1):
            raise NeuvaError("the last spikes are scaled or averaged and nothing follows to take it in: leave it out")
        return None

    def _take(self, name: str, node: Any, heard: Signal) -> Signal | None:
        """What the node makes of what it hears, None if it cannot stand there."""
        link = heard.link
        if heard.trace is not None and link is not None:
            return _behind_trace(name, node, heard, link)
        if isinstance(node, nir.Scale):
            return _scaled(name, node, heard)
        if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
            return _pooled(name, node, heard)
        if link is None:
            if isinstance(node, nir.Flatten):
                return self._flattened(name, node, heard)
            if isinstance(node, SYNAPSES):
                return replace(heard, link=read_synapse(name, node, heard.shape, heard.scale))
        elif isinstance(node, NEURONS):
            folded = from_node(name, node, link.out, self.said)
            sources = self._heard(link.name, heard)
            self.layers.append(Population(link.scaled(folded.gain, folded.bias), folded.neuron, sources))
            return _plain(len(self.layers) - 1, link.out)
        elif isinstance(node, nir.LI) and link.dense and self.layers:
            return _integrated(name, node, heard, link, self.said.step)
        return None

    def _heard(self, name: str, signal: Signal) -> tuple[int, ...]:
        """The numbers of the layers that a node hears, whose pooling is known by that."""
        for index, side in signal.sources:
            if self.pools.setdefault(index, side) != side:
                raise NeuvaError(
                    f"node {name} hears {self.layers[index].synapse.name}'s neurons pooled by {side}, another node "
                    f"hears them pooled by {self.pools[index]}: pool alike, or by strides of the convolutions behind"
                )
        return tuple(index for index, _ in signal.sources)

    def _flattened(self, name: str, node: nir.Flatten, heard: Signal) -> Signal:
        """(C, H, W) becomes (C * H * W, 1, 1), in that order; a flattening of less than all is no layer's input."""
        shape = (1,) * self.batch + heard.shape
        first, last = (int(d) % len(shape) for d in (node.start_dim, node.end_dim))
        flat = (*shape[:first], int(np.prod(shape[first : last + 1])), *shape[last + 1 :])
        if sum(side > 1 for side in flat) > 1:
            raise NeuvaError(
                f"node {name} flattens axes {node.start_dim} to {node.end_dim} of {shape}: flatten all of "
                "(channels, height, width)"
            )
        return replace(heard, shape=(heard.scale.size, 1, 1), scale=heard.scale.reshape(-1, 1, 1))


def _plain(index: int, shape: Shape) -> Signal:
    return Signal(((index, 1),), shape, np.ones(shape))


def _added(name: str, signals: list[Signal]) -> Signal:
    """Edges that meet in a node are added up; a chip adds spikes of one shape, nothing else.

    Raises:
        NeuvaError: names the node at which something else meets.
    """
    first, *more = signals
    if not more:
        return first
    if any(signal.link is not None for signal in signals):
        raise NeuvaError(
            f"node {name} adds up what synapses give, but a chip's layer has one synapse: add up spikes before it, or "
            "put neurons behind each"
        )
    shapes = list(dict.fromkeys(signal.shape for signal in signals))
    if len(shapes) > 1:
        raise NeuvaError(f"node {name} adds up maps {' and '.join(map(str, shapes))}: give them one shape")
    if not all(np.array_equal(signal.scale, first.scale) for signal in more):
        raise NeuvaError(
            f"node {name} adds up spikes scaled or averaged differently, which one synapse cannot take in: "
            "scale all alike, or use sum pooling"
        )
    sources = tuple(source for signal in signals for source in signal.sources)
    if len({index for index, _ in sources}) < len(sources):
        raise NeuvaError(f"node {name} adds up the same spikes twice: add them once and double the weights behind it")
    return replace(first, sources=sources)


def _scaled(name: str, node: nir.Scale, heard: Signal) -> Signal:
    if heard.link is not None:
        return replace(heard, link=heard.link.scaled(per_channel(name, "scale", node.scale, heard.link.out)))
    factors = numbers(name, "scale", node.scale)
    if factors.size not in (1, heard.shape[0], heard.scale.size):
        raise NeuvaError(f"node {name}: scale has shape {factors.shape}, given {heard.shape}: shapes do not chain")
    rows = factors.reshape(-1, 1, 1) if factors.size < heard.scale.size else factors.reshape(heard.shape)
    return replace(heard, scale=heard.scale * rows)


def _pooled(name: str, node: Any, heard: Signal) -> Signal | None:
    """Behind a synapse pooling goes into its kernel; behind neurons it adds spikes, means go into what follows."""
    side, average = pool_side(name, node), isinstance(node, nir.AvgPool2d)
    if heard.link is not None:
        return replace(heard, link=heard.link.pooled(name, side, average))
    if any(index == INPUT for index, _ in heard.sources):
        return None
    c, h, w = heard.shape
    if min(h, w) < side:
        raise NeuvaError(f"node {name}: a window of {side} on a map of {h}x{w}: shapes do not chain")
    if not np.all(heard.scale == heard.scale.flat[0]):
        raise NeuvaError(f"node {name} pools values that are scaled differently: pool before they are scaled")
    shape = (c, h // side, w // side)
    return Signal(
        tuple((index, pool * side) for index, pool in heard.sources),
        shape,
        np.full(shape, heard.scale.flat[0] / (side**2 if average else 1)),
    )


def _integrated(name: str, node: nir.LI, heard: Signal, link: Synapse, step: float | None) -> Signal:
    """The integrator's gain goes into the map; a bias before it counts as it is once the trace has settled."""
    kept, share = decay(name, "tau", node, link.out, step)
    gain = per_channel(name, "r", node.r, link.out) * share
    gain = np.where(np.abs(gain - 1) <= NEUTRAL, 1.0, gain)
    mapped = link.scaled(gain)
    offset = mapped.bias / (1 - kept) + per_channel(name, "v_leak", node.v_leak, link.out)
    return replace(heard, link=replace(mapped, bias=offset), trace=kept)


def _behind_trace(name: str, node: Any, heard: Signal, link: Synapse) -> Signal | None:
    """Linear maps of the traces, which are maps of the spikes as well."""
    if isinstance(node, nir.Scale):
        return replace(heard, link=link.scaled(per_channel(name, "scale", node.scale, link.out)))
    if not isinstance(node, nir.Linear | nir.Affine):
        return None
    then = read_synapse(name, node, link.out, np.ones(link.out))
    mapped = replace(then, weight=then.weight @ link.weight, bias=then.weight @ link.bias + then.bias)
    return replace(heard, link=mapped)
