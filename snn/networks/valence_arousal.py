"""The spiking convolutional network that gives valence and arousal from events."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

import torch
from torch import nn

from neuva import NeuvaError
from snn.layers import Spiking, TraceReadout
from snn.neurons import Neuron, State

Pair = tuple[int, int]


@dataclass(frozen=True)
class LayerSpec:
    """One spiking layer: a convolution ("conv") or a fully connected layer ("dense") onto `channels` neurons a place.

    kernel, stride, padding, dilation: (y, x). pool: side of the sum-pooling window of its spikes.
    learn: decays of the neuron that are learnt ("alpha", "beta"), from the neuron's own as start.
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
    """

    target: Literal["loihi", "speck", "any"]
    layers: tuple[LayerSpec, ...]
    input_shape: tuple[int, int, int] = (2, 64, 64)
    encoding: Literal["binary", "counts"] = "binary"
    dt_us: int = 20_000
    every: int = 2
    readout_tau_us: int = 400_000
    kind: Literal["spiking"] = field(default="spiking", repr=False)  # programs carry a hash of the repr

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
            return cls(**{**values, "layers": layers, "input_shape": tuple(values["input_shape"])})
        except (KeyError, TypeError) as error:
            raise NeuvaError(f"not a network specification ({error}): train the network with this version") from error


@dataclass
class Recording:
    """What a forward pass gives beside the estimates: spikes of each population [T, B, C, H, W], before pooling."""

    spikes: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkState:
    """What a network carries from one stretch of input to the next: each population's state and the mapped trace."""

    populations: list[State]
    trace: torch.Tensor

    def detach(self) -> NetworkState:
        """The same values, over which no gradient flows back."""
        return NetworkState([(u.detach(), v.detach()) for u, v in self.populations], self.trace.detach())


class ValenceArousalNet(nn.Module):
    """Strided spiking convolutions, a fully connected population, and leaky traces read out linearly.

    forward: x [T, B, C, H, W] (spikes or counts) -> estimates [T // every, B, 2], valence and arousal.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.populations = nn.ModuleList()
        shape = spec.input_shape
        for index, layer in enumerate(spec.layers):
            spiking, shape = _build(layer, shape, index)
            self.populations.append(spiking)
        decay = float(torch.exp(torch.tensor(-spec.dt_us / spec.readout_tau_us)))
        self.readout = TraceReadout(int(torch.tensor(shape).prod()), decay, spec.every)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the convolutions' time on a CPU (measured)

    @property
    def layers(self) -> list[Spiking]:
        """The spiking layers, in order."""
        return cast("list[Spiking]", list(self.populations))

    @property
    def names(self) -> list[str]:
        """Names of the spiking layers, in order: conv1, conv2, dense3, ..."""
        return [f"{layer.kind}{index + 1}" for index, layer in enumerate(self.spec.layers)]

    def forward(self, x: torch.Tensor, recording: Recording | None = None) -> torch.Tensor:
        """Estimates [T // every, B, 2] from zero state; spikes go into `recording` if given."""
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
        for index, (name, layer) in enumerate(zip(self.names, self.layers, strict=True)):
            spikes, left = layer.fire(layer.current(x), None if state is None else state.populations[index])
            after.append(left)
            if recording is not None:
                recording.spikes[name] = spikes
            x = layer.send(spikes)
        estimates, trace = self.readout(x.flatten(2), None if state is None else state.trace)
        return estimates, NetworkState(after, trace)


def _build(layer: LayerSpec, shape: tuple[int, int, int], index: int) -> tuple[Spiking, tuple[int, int, int]]:
    channels, height, width = shape
    if layer.kind == "dense":
        synapse: nn.Conv2d | nn.Linear = nn.Linear(channels * height * width, layer.channels, bias=layer.bias)
        height = width = 1
    else:
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


@torch.no_grad()
def scale_to_rate(net: ValenceArousalNet, x: torch.Tensor, rate: float = 0.08, rounds: int = 12) -> dict[str, float]:
    """Scale each layer's first weights until it fires at `rate` spikes a neuron and step on x [T, B, C, H, W].

    Without it a deep network of random weights is silent or saturated, and has no gradient to learn from.

    Returns:
        The rate reached in each layer.

    Raises:
        NeuvaError: if x has no spike.
    """
    if not x.any():
        raise NeuvaError("the first windows hold no events: the data is empty, or cut where nothing happens")
    reached = {}
    for name, layer in zip(net.names, net.layers, strict=True):
        current = layer.current(x)
        low, high = 0.0, float("inf")
        factor = 1.0
        for _ in range(rounds):
            spikes, _ = layer.fire(current * factor)
            mean = float(spikes.mean())
            low, high = (factor, high) if mean < rate else (low, factor)
            factor = factor * 2 if high == float("inf") else (low + high) / 2
        layer.synapse.weight.mul_(factor)
        if layer.synapse.bias is not None:
            layer.synapse.bias.mul_(factor)
        spikes, _ = layer.fire(current * factor)
        reached[name], x = float(spikes.mean()), layer.send(spikes)
    return reached
