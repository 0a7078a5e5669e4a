"""Convolutions on pictures inflated to clips (Carreira and Zisserman, CVPR 2017, arXiv 1705.07750)."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from snn.baselines.resnet import ResNet


class InflatedConv(nn.Module):
    """A convolution of k x k on pictures as one of k x k x k on clips: W'[t] = W / k at each of its k times.

    x [B, C, T, H, W] -> [B, C', T, H', W']. The first and last picture are repeated beyond the clip's ends, so a clip
    of one picture again and again gives at every time what the picture gives.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        times = conv.kernel_size[0]
        self.reach, self.stride, self.groups = times // 2, (1, *conv.stride), conv.groups
        self.padding, self.dilation = (0, *cast("tuple[int, int]", conv.padding)), (1, *conv.dilation)
        self.weight = nn.Parameter(conv.weight.detach()[:, :, None].repeat(1, 1, times, 1, 1) / times)
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The clip [B, C', T, H', W']."""
        if self.reach:
            x = F.pad(x, (0, 0, 0, 0, self.reach, self.reach), mode="replicate")
        return F.conv3d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class InflatedResNet(nn.Module):
    """A ResNet inflated to clips, weights and all: x [B, 3, T, H, W] -> features [B, width, T].

    Time is not thinned out: I3D halves it for one answer a clip, here every frame has its own (step: 1, as in `R3d`).
    """

    def __init__(self, resnet: ResNet) -> None:
        super().__init__()
        self.net, self.width, self.step = _inflate(resnet.net), resnet.width, 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [B, width, T]."""
        return cast("torch.Tensor", self.net(x).pooler_output).flatten(2)


def _inflate(module: nn.Module) -> nn.Module:
    """The module with every layer on pictures in it turned, in place, into the same layer on clips."""
    for name, child in module.named_children():
        setattr(module, name, _inflate(child))
    match module:
        case nn.Conv2d():
            return InflatedConv(module)
        case nn.BatchNorm2d():
            norm = nn.BatchNorm3d(module.num_features, module.eps, module.momentum)
            norm.load_state_dict(module.state_dict())
            return norm
        case nn.MaxPool2d():
            kernel, stride, padding = (
                cast("int", each) for each in (module.kernel_size, module.stride, module.padding)
            )
            return nn.MaxPool3d((1, kernel, kernel), (1, stride, stride), (0, padding, padding))
        case nn.AdaptiveAvgPool2d():
            return nn.AdaptiveAvgPool3d((None, 1, 1))
    return module
