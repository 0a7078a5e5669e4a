"""Vision transformers on pictures (Dosovitskiy et al., ICLR 2021, arXiv 2010.11929), as transformers builds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from neuva import SettingError


@dataclass(frozen=True)
class VitSpec:
    """Sizes of a vision transformer; as it stands, ViT-B/16 at 224 pixels (85,798,656 parameters).

    picture, patch: sides in pixels. width, layers, heads: of the encoder; mlp: width inside its feed-forward parts.

    Raises:
        SettingError: if the patches do not tile the picture, or the heads do not share the width.
    """

    picture: int = 224
    patch: int = 16
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp: int = 3072

    def __post_init__(self) -> None:
        if self.picture % self.patch or self.width % self.heads:
            raise SettingError(
                f"vit: patches of {self.patch} must tile a picture of {self.picture}, and {self.heads} heads share a "
                f"width of {self.width}"
            )


class Vit(nn.Module):
    """Features of pictures: x [N, 3, picture, picture] -> [N, width], the class token behind the last layer.

    Attributes:
        net: transformers' `ViTModel`; its names are those of published files of weights. width: features.
    """

    def __init__(self, spec: VitSpec) -> None:
        from transformers import ViTConfig, ViTModel  # takes seconds to import

        super().__init__()
        config = ViTConfig(
            image_size=spec.picture,
            patch_size=spec.patch,
            hidden_size=spec.width,
            num_hidden_layers=spec.layers,
            num_attention_heads=spec.heads,
            intermediate_size=spec.mlp,
        )
        self.net = ViTModel(config, add_pooling_layer=False)
        self.width = spec.width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [N, width]."""
        return cast("torch.Tensor", self.net(x).last_hidden_state)[:, 0]
