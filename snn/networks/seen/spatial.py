"""SEEN's spatial branch: convolutions of the intensity frames, and how much each scale counts."""

from __future__ import annotations

import torch
from torch import nn

from snn.networks.seen.spec import SeenSpec

KERNELS = (3, 5, 7)
"""Sides of the kernels of the three scales."""

CHOSEN = {"first": [0], "first+last": [0, -1], "first+second": [0, 1]}
"""Which of the clip's frames are seen, by `SeenSpec.frames`; of "all", as many as the clip has event frames."""


def feature_shape(spec: SeenSpec) -> tuple[int, int, int]:
    """(C, H, W) of what the convolutions leave: 512, 6, 6 of the published sizes."""
    side = spec.side
    for stride in (2, 2, 4):
        side = (side - 1) // stride + 1
    return spec.channels[-1], side, side


class Pyramid(nn.Module):
    """The convolutions both branches share in form: three scales of stride 2, their fusion, two more of strides 2, 4.

    There is nothing between them: in the spatial branch they are linear but for the attention, in the event path
    neurons stand behind `fuse`, `second` and `third`.
    """

    def __init__(self, channels: tuple[int, int, int], bias: bool) -> None:
        super().__init__()
        first, second, third = channels
        self.scales = nn.ModuleList(nn.Conv2d(3, first, kernel, 2, kernel // 2, bias=bias) for kernel in KERNELS)
        self.fuse = nn.Conv2d(len(KERNELS) * first, first, 1, bias=bias)
        self.second = nn.Conv2d(first, second, 3, 2, 1, bias=bias)
        self.third = nn.Conv2d(second, third, 3, 4, 1, bias=bias)


class Spatial(nn.Module):
    """Features of the chosen frames and the weights of the three scales.

        x = merge(concatenate(chosen frames));  f_i = scale_i(x);  w = softmax_i(attention_i(f_i))
        features = third(second(fuse(concatenate_i(w_i f_i))))

    attention_i: mean over the picture, C -> C / 8, batch normalisation, ReLU, C / 8 -> 1. `spec.frames` chooses.
    """

    def __init__(self, spec: SeenSpec) -> None:
        super().__init__()
        self.chosen = CHOSEN.get(spec.frames, list(range(spec.duration)))
        self.merge = nn.Conv2d(3 * len(self.chosen), 3, 1)
        self.pyramid = Pyramid(spec.channels, bias=True)
        self.attention = nn.ModuleList(_attention(spec.channels[0]) for _ in KERNELS)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [B, C, H', W'] and weights w [B, 3] of frames [B, n, 3, H, W]."""
        x = self.merge(frames[:, self.chosen].flatten(1, 2))
        scales = [scale(x) for scale in self.pyramid.scales]
        logits = [weigh(scale) for weigh, scale in zip(self.attention, scales, strict=True)]
        weights = torch.cat(logits, 1).flatten(1).softmax(1)
        fused = self.pyramid.fuse(weighted(scales, weights))
        return self.pyramid.third(self.pyramid.second(fused)), weights


def weighted(scales: list[torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
    """The scales [B, C, H, W], each times its column of the weights [B, 3], as [B, 3 C, H, W]."""
    return torch.cat([weight[:, None, None, None] * x for weight, x in zip(weights.T, scales, strict=True)], 1)


def _attention(channels: int) -> nn.Sequential:
    squeezed = max(channels // 8, 1)
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(channels, squeezed, 1),
        nn.BatchNorm2d(squeezed),
        nn.ReLU(),
        nn.Conv2d(squeezed, 1, 1),
    )
