"""What the published ablations F to I put in the spiking temporal branch's place.

The paper names their kinds alone; all sizes here are chosen, as near to the published network's as the kind allows.
"""

from __future__ import annotations

import torch
from torch import nn

from snn.networks.seen.spatial import feature_shape
from snn.networks.seen.spec import CLASSES, HEADS, SeenSpec


class PlainHead(nn.Module):
    """Two fully connected layers without spikes: x [T, B, N] -> logits [B, 7], the mean over time.

        h[t] = relu(fc1(x[t]));   logits = mean_t fc2(mixed(h)[t])

    mixed over time is, by `temporal`: h itself ("cnn", "conv3d"); an LSTM's outputs ("lstm"); one layer of a
    transformer's encoder over h plus learnt places, 4 heads and twice the width inside, no dropout ("transformer").
    """

    def __init__(self, spec: SeenSpec) -> None:
        super().__init__()
        self.fc1 = nn.Linear(torch.Size(feature_shape(spec)).numel(), spec.hidden)
        self.mix = _mix(spec)
        self.fc2 = nn.Linear(spec.hidden, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [B, 7] of x [T, B, N]."""
        return self.fc2(self.mix(self.fc1(x).relu())).mean(0)


class Volume(nn.Module):
    """Three convolutions over time and space with ReLU in the event path's place, and the mean over time.

    Kernels of 3 x 3 x 3, channels and strides in space as the published stages', stride 1 in time.
    """

    def __init__(self, spec: SeenSpec) -> None:
        super().__init__()
        before, layers = 3, list[nn.Module]()
        for channels, stride in zip(spec.channels, (2, 2, 4), strict=True):
            layers += [nn.Conv3d(before, channels, 3, (1, stride, stride), 1), nn.ReLU()]
            before = channels
        self.convolutions = nn.Sequential(*layers)

    def forward(self, events: torch.Tensor, *_: object) -> torch.Tensor:
        """Features [1, B, N] of events [T, B, 3, H, W]; of the spatial branch nothing is taken."""
        return self.convolutions(events.movedim(0, 2)).mean(2).flatten(1)[None]


class _Recurrent(nn.LSTM):
    def forward(self, h: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(h)[0]


class _Attending(nn.Module):
    def __init__(self, spec: SeenSpec) -> None:
        super().__init__()
        self.places = nn.Parameter(0.02 * torch.randn(spec.duration, 1, spec.hidden))
        self.layer = nn.TransformerEncoderLayer(spec.hidden, HEADS, 2 * spec.hidden, dropout=0.0)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.layer(h + self.places)


def _mix(spec: SeenSpec) -> nn.Module:
    if spec.temporal == "lstm":
        return _Recurrent(spec.hidden, spec.hidden)
    return _Attending(spec) if spec.temporal == "transformer" else nn.Identity()
