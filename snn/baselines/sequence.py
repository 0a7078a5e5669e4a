"""Estimates for every frame of a video from features of its frames: TCNs, a transformer, a head.

Zhou et al., "Enhancing Emotion Recognition with Pre-trained Masked Autoencoders and Sequential Learning", CVPRW 2024
(arXiv 2403.11440). Sizes and the head are those of the authors' code, github.com/upczww/abaw6. Of its TCN and its
transformer that code has the names and arguments alone, as far as seen. The TCN's blocks are those of Bai et al. 2018,
with PReLU as in a later system's code (github.com/FreedomPuppy77/Charon). The width of the transformer's feed-forward
layers (4 times the width) and the place of its norms (behind, as in Vaswani et al. 2017) are ours, and so is that it is
told no positions: what the TCN sees of the frames before must tell them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pytorch_tcn import TCN
from torch import nn
from torch.nn import functional as F

from neuva import SettingError

Task = Literal["valence_arousal", "expression", "action_units"]
OUTPUTS: Mapping[Task, int] = {"valence_arousal": 2, "expression": 8, "action_units": 12}
"""Of a frame: valence and arousal; logits of Aff-Wild2's expressions; logits of its action units."""


@dataclass(frozen=True)
class SequenceSpec:
    """Sizes of a `SequenceNet` besides its task and its modalities.

    channels: of the TCN's blocks; kernel: of their convolutions, frames. width, heads, layers: of the transformer.
    dropout: in both.

    Raises:
        NeuvaError: if a size is below 1, or the heads do not divide the width.
    """

    channels: tuple[int, ...] = (768, 256, 128)
    kernel: int = 5
    width: int = 512
    heads: int = 4
    layers: int = 8
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not self.channels or min(*self.channels, self.kernel, self.width, self.heads, self.layers) < 1:
            raise SettingError("channels, kernel, width, heads and layers must be 1 or more")
        if self.width % (2 * self.heads):
            raise SettingError(f"width = {self.width} must be a multiple of twice the heads = {self.heads}")
        if not 0 <= self.dropout < 1:
            raise SettingError(f"dropout = {self.dropout} must be in [0, 1)")


class SequenceNet(nn.Module):
    """A TCN for each modality m with features x_m, a transformer on what all of them say of a window's frames t.

        c[t] = [TCN_m((x_m - mean_m) / std_m)[t] for all m];  h = transformer(A c);  y[t] = V norm(U h[t])

    TCN (Bai et al. 2018): causal blocks of two weight-normed convolutions, the i-th dilated by 2^i, with PReLU; the
    transformer looks both ways. norm: batch normalisation over the frames there are. mean, std: 0 and 1 until
    `scale_to`. A frame that is padding (mask False) may come at the end of a window alone; it changes no other.
    """

    def __init__(self, task: Task, modalities: Mapping[str, int], spec: SequenceSpec) -> None:
        """modalities: names of the features, and how many values a frame has of each."""
        super().__init__()
        self.task, self.modalities, self.spec = task, dict(modalities), spec
        self.scales = nn.ModuleDict({name: _Scale(width) for name, width in self.modalities.items()})
        self.tcns = nn.ModuleDict(
            {
                name: TCN(width, spec.channels, spec.kernel, dropout=spec.dropout, causal=True, activation=nn.PReLU)
                for name, width in self.modalities.items()
            }
        )
        self.join = nn.Linear(spec.channels[-1] * len(self.modalities), spec.width)
        layer = nn.TransformerEncoderLayer(spec.width, spec.heads, 4 * spec.width, spec.dropout, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, spec.layers, enable_nested_tensor=False)
        self.head = nn.Sequential(
            nn.Linear(spec.width, spec.width // 2),
            _FrameNorm(spec.width // 2),
            nn.Linear(spec.width // 2, OUTPUTS[task]),
        )

    def scale_to(self, features: Mapping[str, torch.Tensor]) -> None:
        """Take mean and deviation (1 of a constant) of each value from the training frames' features [N, width]."""
        for name, rows in features.items():
            std = rows.std(0, correction=0)
            self.scales[name].get_buffer("mean").copy_(rows.mean(0))
            self.scales[name].get_buffer("std").copy_(torch.where(std > 1e-6, std, 1))

    def forward(self, features: Mapping[str, torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """Features [B, T, width] by modality, mask bool [B, T] -> [B, T, outputs], 0 where the mask is False."""
        scaled = {name: self.scales[name](features[name]) for name in self.modalities}
        seen = [self.tcns[name](x.transpose(1, 2)).transpose(1, 2) for name, x in scaled.items()]
        hidden = self.transformer(self.join(torch.cat(seen, -1)), src_key_padding_mask=~mask)
        given = self.head(hidden[mask])
        return given.new_zeros(*mask.shape, given.shape[-1]).masked_scatter(mask[..., None], given)


class _Scale(nn.Module):
    """(x - mean) / std, which travel with the weights."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std


class _FrameNorm(nn.BatchNorm1d):
    """Batch normalisation that takes a batch of one frame too, which has no deviation: by what it saw before."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1 or not self.training:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
