"""The spiking convolutional network that gives valence and arousal from events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, cast

import torch
from torch import nn

from neuva import NeuvaError, SettingError
from snn.layers import Spiking, TraceReadout
from snn.neurons import Neuron, State

Pair = tuple[int, int]
AFFECT = ("valence", "arousal")
"""Outputs of the networks trained here."""


def require_times(dt_us: int, every: int) -> None:
    """Refuse a step of no length, and estimates that never come.

    Raises:
        NeuvaError: if one is below 1.
    """
    if dt_us < 1 or every < 1:
        raise SettingError(f"dt_us = {dt_us} and every = {every} must be at least 1: a step lasts, and estimates come")


def require_sizes(layer: object, *names: str) -> None:
    """Refuse sizes that no layer has: below 1, and padding below 0.

    Raises:
        SettingError: names the first such attribute of the layer.
    """
    for name in names:
        value, least = getattr(layer, name), 0 if name == "padding" else 1
        if min(value if isinstance(value, tuple) else (value,)) < least:
            raise SettingError(f"{name} = {value} must be at least {least}")


@dataclass(frozen=True)
class LayerSpec:
    """One spiking layer: a convolution ("conv") or a fully connected layer ("dense") onto `channels` neurons a place.

    kernel, stride, padding, dilation: (y, x). pool: side of the sum-pooling window of its spikes.
    learn: decays of the neuron that are learnt ("alpha", "beta"), from the neuron's own as start.
    sources: names of earlier layers, or "input", whose spikes it hears, added up; empty: the layer before alone.

    Raises:
        SettingError: if a size is below 1, or padding below 0.
    """

    kind: Literal["conv", "dense"]
    channels: int
    neuron: Neuron
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = False
    pool: int = 1
    learn: tuple[Literal["alpha", "beta"], ...] = ()
    sources: tuple[str, ...] = field(default=(), repr=False)  # as `NetworkSpec.kind`; `network_hash` takes them apart

    def __post_init__(self) -> None:
        require_sizes(self, "channels", "kernel", "stride", "padding", "dilation", "groups", "pool")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LayerSpec:
        """From plain values (lists become pairs)."""
        rest: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**{**rest, "neuron": Neuron(**values["neuron"])})


@dataclass(frozen=True)
class NetworkSpec:
    """All that makes a network besides its weights; stored with them in every checkpoint.

    target: the chip family whose neuron and input the network was trained for ("loihi", "speck", "any").
    input_shape: (C, H, W), C = (OFF, ON). encoding: "binary" (at most one spike a pixel and step) or "counts".
    dt_us: the step, microseconds. every: steps per estimate (25 Hz: every * dt_us = 40,000).
    readout_tau_us: start value of the read-out traces' time constant.
    kind: tells it from the yardstick's specification (`snn.building`).
    outputs: names of the read-out's outputs; None: no read-out, the last layer's spikes are the result.

    Raises:
        SettingError: if dt_us, every or readout_tau_us is below 1.
    """

    target: Literal["loihi", "speck", "any"]
    layers: tuple[LayerSpec, ...]
    input_shape: tuple[int, int, int] = (2, 64, 64)
    encoding: Literal["binary", "counts"] = "binary"
    dt_us: int = 20_000
    every: int = 2
    readout_tau_us: int = 400_000
    kind: Literal["spiking"] = field(default="spiking", repr=False)  # programs carry a hash of the repr
    outputs: tuple[str, ...] | None = field(default=AFFECT, repr=False)

    def __post_init__(self) -> None:
        require_times(self.dt_us, self.every)
        require_sizes(self, "input_shape", "readout_tau_us")
        before = ["input", *self.names]
        layers = (  # the layer before alone is said in one way, so that equal networks are equal
            replace(layer, sources=()) if layer.sources == (name,) else layer
            for layer, name in zip(self.layers, before, strict=False)
        )
        object.__setattr__(self, "layers", tuple(layers))

    @property
    def names(self) -> list[str]:
        """Names of the layers, in order: conv1, conv2, dense3, ..."""
        return [f"{layer.kind}{index + 1}" for index, layer in enumerate(self.layers)]

    @property
    def sources(self) -> list[tuple[str, ...]]:
        """What each layer hears, by name."""
        before = ["input", *self.names]
        return [layer.sources or (name,) for layer, name in zip(self.layers, before, strict=False)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, so that a checkpoint can be read with `weights_only=True`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkSpec:
        """The inverse of `to_dict`.

        Raises:
            NeuvaError: if a key is missing or unknown.
        """
        try:
            layers = tuple(LayerSpec.from_dict(layer) for layer in values["layers"])
            rest: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            return cls(**{**rest, "layers": layers})
        except (KeyError, TypeError) as error:
            raise NeuvaError(f"not a network specification ({error}): train the network with this version") from error


@dataclass
class Recording:
    """What a forward pass gives beside the estimates: spikes of each population [T, B, C, H, W], before pooling."""

    spikes: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkState:
    """What a network carries from one stretch of input to the next: each population's state and the mapped trace.

    trace: empty where there is no read-out.
    """

    populations: list[State]
    trace: torch.Tensor

    def detach(self) -> NetworkState:
        """The same values, over which no gradient flows back."""
        return NetworkState([(u.detach(), v.detach()) for u, v in self.populations], self.trace.detach())


class ValenceArousalNet(nn.Module):
    """Strided spiking convolutions, a fully connected population, and leaky traces read out linearly.

    forward: x [T, B, C, H, W] (spikes or counts) -> estimates [T // every, B, 2], valence and arousal; or K other
    outputs; or, without a read-out, what the last layer sends [T, B, N].
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.populations = nn.ModuleList()
        shape, shapes = spec.input_shape, {"input": spec.input_shape}
        for index, (name, layer, sources) in enumerate(zip(spec.names, spec.layers, spec.sources, strict=True)):
            spiking, shape = _build(layer, _heard_shape(name, sources, shapes), index)
            self.populations.append(spiking)
            shapes[name] = shape
        decay = float(torch.exp(torch.tensor(-spec.dt_us / spec.readout_tau_us)))
        inputs = int(torch.tensor(shape).prod())
        self.readout = (
            None if spec.outputs is None else TraceReadout(inputs, decay, spec.every, outputs=len(spec.outputs))
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the convolutions' time on a CPU (measured)

    @property
    def layers(self) -> list[Spiking]:
        """The spiking layers, in order."""
        return cast("list[Spiking]", list(self.populations))

    @property
    def names(self) -> list[str]:
        """Names of the spiking layers, in order: conv1, conv2, dense3, ..."""
        return self.spec.names

    def heard(self, index: int, sent: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What layer `index` hears: the sum of what its sources sent, given by name ("input": the network's input)."""
        first, *more = self.spec.sources[index]
        return sum((sent[name] for name in more), sent[first])

    def forward(self, x: torch.Tensor, recording: Recording | None = None) -> torch.Tensor:
        """Outputs from zero state; spikes go into `recording` if given."""
        estimates, _ = self.stream(x, None, recording)
        return estimates

    def stream(
        self, x: torch.Tensor, state: NetworkState | None, recording: Recording | None = None
    ) -> tuple[torch.Tensor, NetworkState]:
        """As forward, from and to a state: calls one after the other give what one long call gives.

        Args:
            x: [T, B, C, H, W]; T a multiple of `every`, so that estimates keep their rhythm.
            state: what the last call returned, or None.
        """
        after: list[State] = []
        sent = {"input": x}
        for index, (name, layer) in enumerate(zip(self.names, self.layers, strict=True)):
            current = layer.current(self.heard(index, sent))
            spikes, left = layer.fire(current, None if state is None else state.populations[index])
            after.append(left)
            if recording is not None:
                recording.spikes[name] = spikes
            sent[name] = x = layer.send(spikes)
        last = x.flatten(2)
        if self.readout is None:
            return last, NetworkState(after, last.new_zeros(0))
        estimates, trace = self.readout(last, None if state is None else state.trace)
        return estimates, NetworkState(after, trace)


def _heard_shape(
    name: str, sources: tuple[str, ...], shapes: Mapping[str, tuple[int, int, int]]
) -> tuple[int, int, int]:
    """(C, H, W) of what a layer hears.

    Raises:
        NeuvaError: if a source is no layer before it, is named twice, or sends another shape than the others.
    """
    for source in sources:
        if source not in shapes:
            raise NeuvaError(f"{name} hears {source}, which is no layer before it: known are {', '.join(shapes)}")
    sent = {source: shapes[source] for source in sources}
    if len(sent) < len(sources):
        raise NeuvaError(f"{name} hears {', '.join(sources)}: name each layer once, and double its weights instead")
    if len(set(sent.values())) > 1:
        maps = " and ".join(f"{shape} of {source}" for source, shape in sent.items())
        raise NeuvaError(f"{name} adds up {maps}: give them one shape, by stride, padding or pooling")
    return sent[sources[0]]


def _build(layer: LayerSpec, shape: tuple[int, int, int], index: int) -> tuple[Spiking, tuple[int, int, int]]:
    channels, height, width = shape
    if layer.kind == "dense":
        synapse: nn.Conv2d | nn.Linear = nn.Linear(channels * height * width, layer.channels, bias=layer.bias)
        height = width = 1
    else:
        if channels % layer.groups or layer.channels % layer.groups:
            raise NeuvaError(
                f"layer {index + 1}: groups = {layer.groups} must divide its {channels} channels in and "
                f"{layer.channels} out"
            )
        synapse = nn.Conv2d(
            channels,
            layer.channels,
            layer.kernel,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
            bias=layer.bias,
        )
        height, width = (
            (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for side, padding, dilation, kernel, stride in zip(
                (height, width), layer.padding, layer.dilation, layer.kernel, layer.stride, strict=True
            )
        )
    out = (layer.channels, height // layer.pool, width // layer.pool)
    if min(out) < 1:
        raise NeuvaError(f"layer {index + 1}: nothing is left of {shape}: use a smaller kernel, stride or pooling")
    return Spiking(synapse, layer.neuron, layer.pool, layer.learn), out
