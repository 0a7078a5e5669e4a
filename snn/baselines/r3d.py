"""3D-ResNets on clips (Tran et al., CVPR 2018, arXiv 1711.11248)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class R3dSpec:
    """Sizes of a 3D-ResNet of basic blocks; as it stands, r3d-18 (33,166,272 parameters).

    widths, depths: channels and blocks of each stage; every stage but the first halves height, width and time.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (2, 2, 2, 2)


class R3d(nn.Module):
    """Features of clips: x [B, 3, T, H, W] -> [B, width, T'], T' = T / step rounded up.

    step: frames from a feature to the next, 2^(stages - 1); feature j lies in the middle of what it sees, at frame
    j step, for each convolution that halves time is 3 long and padded by 1.

    The layers bear the names they have in torchvision, so that its files of weights fit.
    """

    def __init__(self, spec: R3dSpec) -> None:
        super().__init__()
        before = spec.widths[0]
        self.stem = nn.Sequential(
            nn.Conv3d(3, before, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False), nn.BatchNorm3d(before), nn.ReLU()
        )
        self.stages = len(spec.widths)
        for number, (width, depth) in enumerate(zip(spec.widths, spec.depths, strict=True), 1):
            first = _Block(before, width, 1 if number == 1 else 2)
            setattr(self, f"layer{number}", nn.Sequential(first, *(_Block(width, width, 1) for _ in range(depth - 1))))
            before = width
        self.width, self.step = before, 2 ** (self.stages - 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [B, width, T'], the mean over each picture."""
        x = self.stem(x)
        for number in range(1, self.stages + 1):
            x = getattr(self, f"layer{number}")(x)
        return x.mean((3, 4))


class _Block(nn.Module):
    """y = relu(conv(relu(conv(x))) + x), each convolution 3x3x3 and normalised over the batch."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(_conv(before, width, stride), nn.BatchNorm3d(width), nn.ReLU())
        self.conv2 = nn.Sequential(_conv(width, width, 1), nn.BatchNorm3d(width))
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or before != width:
            self.downsample = nn.Sequential(nn.Conv3d(before, width, 1, stride, bias=False), nn.BatchNorm3d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv2(self.conv1(x)) + self.downsample(x))


def _conv(before: int, width: int, stride: int) -> nn.Conv3d:
    return nn.Conv3d(before, width, 3, stride, 1, bias=False)
