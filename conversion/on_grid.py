"""A chip's number grids as parametrisations: the forward pass sees the chip's numbers, the gradient passes straight.

Weights, and with them the whole layer, are in the chip's own unit, whole numbers below 2^24, which float32 adds without
rounding in whatever order. Scaling a layer's weights, threshold, lower bound and surrogate width alike changes neither
its spikes nor any gradient: the surrogate's peak is 1 / width (`snn.surrogates`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import nn

from conversion import quantize
from snn.layers import LEAST_DECAY, MOST_DECAY, Spiking


class OnGrid(nn.Module, ABC):
    """A tensor as the chip has it: forward(raw) = image(raw), with gradient `unit` straight through the rounding.

    (Straight-through estimator: Bengio et al. 2013, arXiv 1308.3432.)
    """

    unit: float

    @abstractmethod
    def image(self, raw: torch.Tensor) -> torch.Tensor:
        """The chip's numbers, in units of 1 / unit."""

    def plain(self, raw: torch.Tensor) -> torch.Tensor:
        """The float from which lowering makes these very numbers."""
        return (self.image(raw).double() / self.unit).to(raw.dtype)

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """The image, differentiable."""
        return self.image(raw.detach()) + self.unit * (raw - raw.detach())


class Words(OnGrid):
    """Multiples of `step` nearest to raw * scale (half to even), within low..high, as `conversion.quantize` rounds."""

    def __init__(self, scale: float, step: int, low: int, high: int) -> None:
        super().__init__()
        self.unit, self.step, self.low, self.high = scale, step, low, high

    def image(self, raw: torch.Tensor) -> torch.Tensor:
        """Integers."""
        words = self.step * torch.round(raw.double() * self.unit / self.step)
        return words.clamp(self.low, self.high).to(raw.dtype)


class LoihiBias(OnGrid):
    """The bias that drives u as the chip's, in v, does once u has settled: bias = words (1 - alpha) / 64.

    Args:
        scale: integers per unit of weight.
        layer: whose bias it is.
        alpha: the decay that lowering will see, None where it is learnt and thus on its grid.
    """

    def __init__(self, scale: float, layer: Spiking, alpha: float | None) -> None:
        super().__init__()
        self.unit, self.alpha = scale, alpha
        self._layer = (layer,)  # in a tuple: it is no part of this module

    def _seen(self) -> float:
        return self._layer[0].neuron.alpha if self.alpha is None else self.alpha

    def _words(self, raw: torch.Tensor) -> torch.Tensor:
        settled = raw.numpy(force=True).astype(np.float64) / (1 - self._seen())
        words, _ = quantize.loihi_bias(settled, self.unit)
        return torch.as_tensor(words, dtype=torch.float64, device=raw.device) / (1 << quantize.LOIHI_SHIFT)

    def image(self, raw: torch.Tensor) -> torch.Tensor:
        """At the decay that the layer has while it is trained."""
        return (self._words(raw) * (1 - self._layer[0].neuron.alpha)).to(raw.dtype)

    def plain(self, raw: torch.Tensor) -> torch.Tensor:
        """At the decay that lowering will see."""
        return (self._words(raw) * (1 - self._seen()) / self.unit).to(raw.dtype)


class Decay(OnGrid):
    """The logit of a learnt decay, alpha or beta, that lies on Loihi's 12-bit grid."""

    unit = 1.0

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def image(self, raw: torch.Tensor) -> torch.Tensor:
        """A logit."""
        decay = float(np.clip(loihi_decay(self.name, float(torch.sigmoid(raw))), LEAST_DECAY, MOST_DECAY))
        return torch.logit(torch.full_like(raw, decay))


def loihi_decay(name: str, decay: float) -> float:
    """The decay "alpha" or "beta" that Loihi has for this one."""
    if name == "alpha":
        return quantize.loihi_alpha(quantize.loihi_du(decay))
    return quantize.loihi_beta(quantize.loihi_dv(decay))
