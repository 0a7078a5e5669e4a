"""The networks of the study, from the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from experiments.studies.fitting import read_weights
from experiments.studies.neuromorphic_va.config import (
    AnyModel,
    Inflated,
    R3dClips,
    ResNetFusion,
    ResNetLstm,
    Spiking,
    VitModel,
)
from snn.baselines.estimators import FrameEstimator, FusionEstimator, RecurrentEstimator, VideoEstimator
from snn.baselines.inflated import InflatedResNet
from snn.baselines.r3d import R3d
from snn.baselines.resnet import ResNet
from snn.baselines.vit import Vit
from snn.baselines.weights import fill
from snn.networks import NetworkSpec, ValenceArousalNet, scale_to_rate

B = TypeVar("B", ResNet, Vit)


class Shown(nn.Module):
    """A network that is shown clips [B, T, 1, H, W] scaled to `side` pixels."""

    def __init__(self, net: nn.Module, side: int) -> None:
        super().__init__()
        self.net, self.side = net, side

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Estimates [B, T, 2]."""
        if x.shape[-1] != self.side:
            scaled = F.interpolate(x.flatten(0, 1), (self.side, self.side), mode="bilinear")
            x = scaled.unflatten(0, x.shape[:2])
        return self.net(x)


class SpikingEstimator(nn.Module):
    """A spiking network on clips [B, T, every (OFF, ON), H, W]: every frame is `every` of its steps."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.net = ValenceArousalNet(spec)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Estimates [B, T, 2]."""
        return self.net(self.steps(x)).transpose(0, 1)

    def steps(self, x: torch.Tensor) -> torch.Tensor:
        """The clips as the network takes them, [T every, B, 2, H, W]."""
        return x.unflatten(2, (self.net.spec.every, 2)).flatten(1, 2).transpose(0, 1)

    def start(self, x: torch.Tensor, rate: float) -> None:
        """Scale the untrained layers until each fires at this rate on x."""
        scale_to_rate(self.net, self.steps(x), rate)


def build(model: AnyModel, shown: int) -> nn.Module:
    """A network of random weights, or with those its configuration names; it takes clips and gives [B, T, 2].

    Raises:
        NeuvaError: if a file of weights is missing or does not fit.
    """
    if isinstance(model, Spiking):
        return SpikingEstimator(model.network)
    if isinstance(model, VitModel):
        return Shown(FrameEstimator(_filled(Vit(model.backbone), model.weights, "vit.")), shown)
    if isinstance(model, R3dClips):
        video = R3d(model.backbone)
        if model.weights is not None:
            fill(video, read_weights(model.weights), "", str(model.weights))
        return Shown(VideoEstimator(video), shown)
    resnet = _filled(ResNet(model.backbone), model.weights, "resnet.")
    if isinstance(model, Inflated):
        return Shown(VideoEstimator(InflatedResNet(resnet)), shown)
    if isinstance(model, ResNetFusion):
        return Shown(FusionEstimator(resnet, model.frames, model.hidden), shown)
    if isinstance(model, ResNetLstm):
        return Shown(RecurrentEstimator(resnet, model.hidden), shown)
    return Shown(FrameEstimator(resnet), shown)


def _filled(backbone: B, weights: Path | None, prefix: str) -> B:
    if weights is not None:
        fill(backbone.net, read_weights(weights), prefix, str(weights))
    return backbone
