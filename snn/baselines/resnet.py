"""ResNets on pictures (He et al., CVPR 2016, arXiv 1512.03385) as transformers builds them, without classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn


@dataclass(frozen=True)
class ResNetSpec:
    """Sizes of a ResNet of basic blocks; as it stands, ResNet18 (11,176,512 parameters).

    stem: channels of the first convolution, 7x7 with stride 2. widths, depths: channels and blocks of each stage; every
    stage but the first halves the picture.
    """

    stem: int = 64
    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (2, 2, 2, 2)


class ResNet(nn.Module):
    """Features of pictures: x [N, 3, H, W] -> [N, width], the mean of the last stage over the picture.

    Attributes:
        net: transformers' `ResNetModel`; its names are those of published files of weights. width: features.
    """

    def __init__(self, spec: ResNetSpec) -> None:
        from transformers import ResNetConfig, ResNetModel  # takes seconds to import

        super().__init__()
        config = ResNetConfig(
            num_channels=3,
            embedding_size=spec.stem,
            hidden_sizes=list(spec.widths),
            depths=list(spec.depths),
            layer_type="basic",
        )
        self.net = ResNetModel(config)
        self.width = spec.widths[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [N, width]."""
        return cast("torch.Tensor", self.net(x).pooler_output).flatten(1)
