"""The yardstick: a conventional convolutional and recurrent network of the spiking one's size, on the same input."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

from neuva import NeuvaError
from snn.networks.valence_arousal import Pair, Recording, require_sizes, require_times


@dataclass(frozen=True)
class Convolution:
    """One convolution with bias and ReLU; kernel, stride, padding: (y, x); pool: side of the pooling window.

    Raises:
        SettingError: if a size is below 1, or padding below 0.
    """

    channels: int
    kernel: Pair = (3, 3)
    stride: Pair = (2, 2)
    padding: Pair = (1, 1)
    pool: int = 1

    def __post_init__(self) -> None:
        require_sizes(self, "channels", "kernel", "stride", "padding", "pool")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Convolution:
        """From plain values (lists become pairs)."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)


@dataclass(frozen=True)
class ConvGruSpec:
    """All that makes a `ConvGruNet` besides its weights; stored with them in every checkpoint.

    input_shape, encoding, dt_us, every: as in `NetworkSpec`. dense: size of the fully connected layer behind the
    convolutions; hidden: size of the recurrent state.

    Raises:
        SettingError: if dt_us, every or a size is below 1.
    """

    kind: Literal["conv_gru"]
    convolutions: tuple[Convolution, ...]
    dense: int
    hidden: int
    input_shape: tuple[int, int, int] = (2, 64, 64)
    encoding: Literal["binary", "counts"] = "binary"
    dt_us: int = 20_000
    every: int = 2

    def __post_init__(self) -> None:
        require_times(self.dt_us, self.every)
        require_sizes(self, "input_shape", "dense", "hidden")

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, so that a checkpoint can be read with `weights_only=True`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ConvGruSpec:
        """The inverse of `to_dict`.

        Raises:
            NeuvaError: if a key is missing or unknown.
        """
        try:
            convolutions = tuple(Convolution.from_dict(each) for each in values["convolutions"])
            return cls(**{**values, "convolutions": convolutions, "input_shape": tuple(values["input_shape"])})
        except (KeyError, TypeError) as error:
            raise NeuvaError(f"not a network specification ({error}): train the network with this version") from error


class ConvGruNet(nn.Module):
    """Convolutions with ReLU, a dense layer, a gated recurrent unit over the steps, and a linear read-out.

    a[t] = relu(W_d pool(relu(conv(x[t]))));  h[t] = GRU(a[t], h[t-1]);  y[t] = W h[t] + b

    given at the end of every `every` steps (GRU: Cho et al. 2014). Pooling averages: a spiking layer's sum-pooling
    differs by a constant, which the next weights take up. forward: x [T, B, C, H, W] -> [T // every, B, 2].

    Raises:
        NeuvaError: if a convolution leaves nothing of its input.
    """

    def __init__(self, spec: ConvGruSpec) -> None:
        super().__init__()
        self.spec = spec
        layers: list[nn.Module] = []
        channels = spec.input_shape[0]
        for each in spec.convolutions:
            layers += [nn.Conv2d(channels, each.channels, each.kernel, each.stride, each.padding), nn.ReLU()]
            if each.pool > 1:
                layers.append(nn.AvgPool2d(each.pool))
            channels = each.channels
        convolutions = nn.Sequential(*layers)
        self.features = nn.Sequential(
            convolutions, nn.Flatten(), nn.Linear(_size(convolutions, spec.input_shape), spec.dense), nn.ReLU()
        )
        self.gru = nn.GRU(spec.dense, spec.hidden)
        self.readout = nn.Linear(spec.hidden, 2)
        for module in self.features.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor, recording: Recording | None = None) -> torch.Tensor:
        """Estimates [T // every, B, 2] from zero state; there are no spikes to record."""
        estimates, _ = self.stream(x, None, recording)
        return estimates

    def stream(
        self,
        x: torch.Tensor,
        state: torch.Tensor | None,
        recording: Recording | None = None,  # noqa: ARG002  # the spiking network's contract
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As forward, from and to the recurrent state [1, B, hidden]; T a multiple of `every`.

        Autocast changes the convolutions and the dense layer alone.
        """
        seen = self.features(x.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        with torch.autocast(x.device.type, enabled=False):
            given = seen.to(self.readout.weight.dtype).unflatten(0, x.shape[:2])
            hidden, state = self.gru(given, state)
            return self.readout(hidden[self.spec.every - 1 :: self.spec.every]), state


@torch.no_grad()
def _size(convolutions: nn.Module, shape: tuple[int, int, int]) -> int:
    """How many values the convolutions leave of a picture."""
    try:
        return convolutions(torch.zeros(1, *shape)).numel()
    except RuntimeError as error:
        raise NeuvaError(
            f"nothing is left of {shape} behind the convolutions: use a smaller kernel, stride or pooling"
        ) from error
