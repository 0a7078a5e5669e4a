"""Valence and arousal of every frame of a clip, from features of pictures or of clips.

All take clips x [B, T, 1, H, W], grey or temporal binary pictures in [0, 1], and give [B, T, 2]. The one channel is
shown three times, so that backbones of colour pictures, and their published weights, fit.
"""

from __future__ import annotations

import torch
from torch import nn

from snn.baselines.inflated import InflatedResNet
from snn.baselines.r3d import R3d
from snn.baselines.resnet import ResNet
from snn.baselines.vit import Vit

Pictures = ResNet | Vit
Videos = InflatedResNet | R3d


class FrameEstimator(nn.Module):
    """Each frame by itself: y[t] = W f(x[t]) + b."""

    def __init__(self, backbone: Pictures) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(backbone.width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Estimates [B, T, 2]."""
        return self.head(_features(self.backbone, x))


class FusionEstimator(nn.Module):
    """The features of `frames` frames up to each one, side by side: y[t] = W relu(V [f(x[t-k+1]) ... f(x[t])] + c) + b.

    Before the first frame stands the first frame.
    """

    def __init__(self, backbone: Pictures, frames: int, hidden: int) -> None:
        super().__init__()
        self.backbone, self.frames = backbone, frames
        self.head = nn.Sequential(nn.Linear(frames * backbone.width, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Estimates [B, T, 2]."""
        features = _features(self.backbone, x)
        early = features[:, :1].expand(-1, self.frames - 1, -1)
        last = torch.cat([early, features], dim=1).unfold(1, self.frames, 1)  # [B, T, D, frames]
        return self.head(last.transpose(2, 3).flatten(2))


class RecurrentEstimator(nn.Module):
    """Long short-term memory over the frames' features: h[t] = LSTM(f(x[t]), h[t-1]); y[t] = W h[t] + b."""

    def __init__(self, backbone: Pictures, hidden: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.memory = nn.LSTM(backbone.width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Estimates [B, T, 2]."""
        return self.head(self.memory(_features(self.backbone, x))[0])


class VideoEstimator(nn.Module):
    """Features F of the whole clip, one in s frames: y[t] = W ((1 - r) F[j] + r F[j + 1]) + b, j + r = t / s.

    F[j] stands at frame j s (s: the backbone's `step`); after the last F its estimate is held.
    """

    def __init__(self, backbone: Videos) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(backbone.width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Estimates [B, T, 2]."""
        features = self.backbone(_coloured(x).transpose(1, 2))
        return _every_frame(self.head(features.transpose(1, 2)), x.shape[1], self.backbone.step)


def _every_frame(estimates: torch.Tensor, frames: int, step: int) -> torch.Tensor:
    """[B, frames, 2], straight lines between estimates [B, T', 2] of frames 0, step, 2 step, ..."""
    last = estimates.shape[1] - 1
    place = (torch.arange(frames, device=estimates.device) / step).clamp(max=last)
    before = place.long()
    share = (place - before)[:, None].to(estimates.dtype)
    return torch.lerp(estimates[:, before], estimates[:, (before + 1).clamp(max=last)], share)


def _features(backbone: Pictures, x: torch.Tensor) -> torch.Tensor:
    """[B, T, D]."""
    return backbone(_coloured(x).flatten(0, 1)).unflatten(0, x.shape[:2])


def _coloured(x: torch.Tensor) -> torch.Tensor:
    return x.expand(-1, -1, 3, -1, -1)
