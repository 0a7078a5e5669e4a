"""SEEN's temporal branch: the event frames through copied convolutions and spiking neurons, to logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from snn.networks.seen.neuron import lif
from snn.networks.seen.spatial import KERNELS, Pyramid, feature_shape, weighted
from snn.networks.seen.spec import CLASSES, SeenSpec


class EventPath(nn.Module):
    """Features of each event frame, [T, B, N], by the convolutions' weights without their biases.

        a[t] = act(fuse(concatenate_i(w_i scale_i(e[t]))));  features[t] = act(third(act(second(a[t]))))

    act runs over time, behind each convolution but the scales'. With `weight_copy` the weights are the spatial
    branch's as they are at the moment, and no gradient flows; else the path has its own, and learns. w never carries
    a gradient.

    Args:
        act: [T, B, ...] to the same shape.
    """

    def __init__(self, spec: SeenSpec, act: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.own = None if spec.weight_copy else Pyramid(spec.channels, bias=False)
        self.attention_copy, self.act = spec.attention_copy, act

    def forward(self, events: torch.Tensor, spatial: Pyramid, weights: torch.Tensor) -> torch.Tensor:
        """Features [T, B, N] of events [T, B, 3, H, W]; weights [B, 3] of the spatial branch's scales."""
        weights = weights.detach() if self.attention_copy else torch.full_like(weights, 1 / len(KERNELS))
        pyramid = self.own or spatial
        first = [self._first(pyramid, event, weights) for event in events.unbind(0)]  # at once they would fill memory
        spikes = self.act(torch.stack(first))
        for conv in (pyramid.second, pyramid.third):
            spikes = self.act(self._convolve(conv, spikes.flatten(0, 1)).unflatten(0, events.shape[:2]))
        return spikes.flatten(2)

    def _first(self, pyramid: Pyramid, event: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        scales = [self._convolve(cast("nn.Conv2d", scale), event) for scale in pyramid.scales]
        return self._convolve(pyramid.fuse, weighted(scales, weights))

    def _convolve(self, conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        weight = conv.weight if self.own else conv.weight.detach()
        return F.conv2d(x, weight, None, conv.stride, conv.padding)


class SpikingHead(nn.Module):
    """Two fully connected spiking layers over time: x [T, B, N], counts of 0 to 2, -> logits [B, 7].

    The logits are the last layer's membranes before reset, or its spikes: their mean over time or their last.
    """

    def __init__(self, spec: SeenSpec) -> None:
        super().__init__()
        self.fc1 = nn.Linear(torch.Size(feature_shape(spec)).numel(), spec.hidden)
        self.fc2 = nn.Linear(spec.hidden, CLASSES)
        self.output = spec.output

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [B, 7] of x [T, B, N]."""
        hidden, _ = lif(self.fc1(x))
        spikes, membranes = lif(self.fc2(hidden))
        when, what = self.output.split("_")
        values = membranes if what == "potential" else spikes
        return values.mean(0) if when == "mean" else values[-1]
