"""The masked autoencoder of faces, and the encoder of faces that is left of it.

He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022; transformers' ViT-MAE, built from a
specification: nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from neuva import SettingError
from snn.baselines.weights import fill

if TYPE_CHECKING:
    from transformers import ViTMAEConfig

MEAN, STD = (0.471, 0.363, 0.333), (0.220, 0.193, 0.180)
"""Of the RGB values, in [0, 1], of Aff-Wild2's faces: github.com/FreedomPuppy77/Charon (arXiv 2503.10104)."""

_RENAMED = (
    ("encoder.layer.", "layers."),
    ("attention.attention.query", "attention.q_proj"),
    ("attention.attention.key", "attention.k_proj"),
    ("attention.attention.value", "attention.v_proj"),
    ("attention.output.dense", "attention.o_proj"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
)


@dataclass(frozen=True)
class AutoencoderSpec:
    """Sizes of a `MaskedAutoencoder`; those given here are ViT-B/16 of He et al.

    side: of the square picture, pixels; patch: of a patch, pixels. width, depth, heads: of the encoder's layers.
    masked: share of the patches that the encoder does not see; it must be a whole number of patches.

    Raises:
        NeuvaError: if the sizes do not fit one another.
    """

    side: int = 224
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    decoder_width: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16
    masked: float = 0.75

    def __post_init__(self) -> None:
        if min(self.side, self.patch, self.width, self.depth, self.heads) < 1 or self.side % self.patch:
            raise SettingError(f"side = {self.side} must be a multiple of patch = {self.patch}, and all sizes above 0")
        for name, width, heads in (
            ("width", self.width, self.heads),
            ("decoder_width", self.decoder_width, self.decoder_heads),
        ):
            if heads < 1 or width < 4 or width % heads or width % 4:
                raise SettingError(f"{name} = {width} must be a multiple of 4 and of its heads = {heads}")
        hidden = self.masked * self.patches
        if not 0 < self.masked < 1 or abs(hidden - round(hidden)) > 1e-9:
            raise SettingError(
                f"masked = {self.masked} of {self.patches} patches is {hidden:g}, no whole number between 0 and all: "
                "choose another side, patch or share"
            )

    @property
    def patches(self) -> int:
        """Of a picture."""
        return (self.side // self.patch) ** 2


class Reconstruction(NamedTuple):
    """What the autoencoder makes of pictures.

    loss: mean squared error over the pixels of the masked patches alone. patches: [B, P, patch * patch * 3], of each
    patch its pixels row by row, RGB; `MaskedAutoencoder.picture` joins them. mask: [B, P], 1 where masked.
    """

    loss: torch.Tensor
    patches: torch.Tensor
    mask: torch.Tensor


class MaskedAutoencoder(nn.Module):
    """Hides most patches of a face and paints them again from those left.

    loss = sum over masked patches p of mean((painted_p - pixels_p)^2) / number of masked patches
    """

    def __init__(self, spec: AutoencoderSpec) -> None:
        from transformers import ViTMAEForPreTraining  # seconds to import

        super().__init__()
        self.spec = spec
        self.model = ViTMAEForPreTraining(_config(spec, spec.masked))
        _place(self.model.vit.embeddings.position_embeddings, spec)
        _place(self.model.decoder.decoder_pos_embed, spec)

    def forward(self, images: torch.Tensor) -> Reconstruction:
        """Pictures [B, 3, side, side] as `prepare` gives them; which patches are masked is drawn anew."""
        given = self.model(images)
        return Reconstruction(given.loss, given.logits, given.mask)

    def take(self, weights: Mapping[str, torch.Tensor], where: str) -> None:
        """Take the weights of a ViT-MAE by transformers' names, old or new; without a decoder's, the encoder's alone.

        where: the file, for the message.

        Raises:
            NeuvaError: if one is missing or of another size.
        """
        named = {_new_name(name): tensor for name, tensor in weights.items()}
        if any(name.startswith("decoder.") for name in named):
            fill(self.model, named, "", where)
        else:
            fill(self.model.vit, named, "vit.", where)


class FaceEncoder(nn.Module):
    """An autoencoder's encoder on whole pictures, without its decoder, and a linear layer for classes.

    features = the class token behind the last layer norm, [B, width];  logits = W features + b, [B, classes]
    """

    def __init__(self, spec: AutoencoderSpec, classes: int) -> None:
        from transformers import ViTMAEModel

        super().__init__()
        self.spec = spec
        self.vit = ViTMAEModel(_config(spec, 0.0))
        self.head = nn.Linear(spec.width, classes)
        _place(self.vit.embeddings.position_embeddings, spec)

    @classmethod
    def of(cls, autoencoder: MaskedAutoencoder, classes: int) -> FaceEncoder:
        """With the weights of an autoencoder's encoder."""
        encoder = cls(autoencoder.spec, classes)
        encoder.vit.load_state_dict(autoencoder.model.vit.state_dict())
        return encoder

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Of pictures [B, 3, side, side]: [B, width]."""
        order = torch.arange(self.spec.patches, device=images.device, dtype=images.dtype)  # else it shuffles patches
        return self.vit(images, noise=order.expand(len(images), -1)).last_hidden_state[:, 0]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of pictures [B, 3, side, side]."""
        return self.head(self.features(images))


def prepare(images: np.ndarray, side: int, device: torch.device | None = None) -> torch.Tensor:
    """RGB uint8 [N, H, W, 3] as float32 [N, 3, side, side]: scaled bilinearly, less `MEAN`, over `STD`."""
    x = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
    if x.shape[-2:] != (side, side):
        x = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(each, device=x.device).view(3, 1, 1) for each in (MEAN, STD))
    return (x - mean) / std


def sine_positions(side: int, width: int) -> torch.Tensor:
    """Where each of side * side patches lies (He et al.), float32 [1, 1 + side * side, width]; 0 for the class token.

    The first half of the width is of the column, the second of the row; of either, with q = width / 4 and
    f_k = 10000^(-k / q):  sin(place f_0) .. sin(place f_(q-1)), cos(place f_0) .. cos(place f_(q-1))
    """
    frequencies = 10_000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * frequencies
    of_place = torch.cat([angles.sin(), angles.cos()], 1)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    patches = torch.cat([of_place[columns.flatten()], of_place[rows.flatten()]], 1)
    return torch.cat([patches.new_zeros(1, width), patches])[None].float()


def _config(spec: AutoencoderSpec, masked: float) -> ViTMAEConfig:
    from transformers import ViTMAEConfig

    return ViTMAEConfig(
        image_size=spec.side,
        patch_size=spec.patch,
        hidden_size=spec.width,
        num_hidden_layers=spec.depth,
        num_attention_heads=spec.heads,
        intermediate_size=4 * spec.width,
        decoder_hidden_size=spec.decoder_width,
        decoder_num_hidden_layers=spec.decoder_depth,
        decoder_num_attention_heads=spec.decoder_heads,
        decoder_intermediate_size=4 * spec.decoder_width,
        mask_ratio=masked,
    )


@torch.no_grad()
def _place(positions: torch.Tensor, spec: AutoencoderSpec) -> None:
    """Tell the patches their places: transformers 5.23 leaves zeros where it builds from a configuration."""
    positions.copy_(sine_positions(spec.side // spec.patch, positions.shape[-1]))


def _new_name(name: str) -> str:
    """A weight's name in transformers 5 from that of version 4, in which most are published."""
    for old, new in _RENAMED:
        name = name.replace(old, new)
    return name
