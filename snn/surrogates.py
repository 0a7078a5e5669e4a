"""Surrogate gradients: what stands in for the derivative of the spike's step function.

With d = v - threshold and width w, each has its peak 1 / w at d = 0:

    arctan         1/w * 1 / (1 + (pi d / w)^2)       (Fang et al. 2021, ICCV)
    fast_sigmoid   1/w * 1 / (1 + |d| / w)^2          (Zenke and Ganguli 2018)
    triangular     1/w * max(0, 1 - |d| / w)          (Esser et al. 2016)
    rectangular    1/w * [|d| < w / 2]                (Wu et al. 2018)

A neuron that may fire several times a step has a staircase for its output; above the threshold its
mean slope is the peak, so d is replaced by min(d, 0).
"""

from __future__ import annotations

import math

import torch

SURROGATES = ("arctan", "fast_sigmoid", "triangular", "rectangular")


def surrogate(d: torch.Tensor, kind: str, width: float) -> torch.Tensor:
    """The surrogate derivative at distance d = v - threshold, elementwise; equations above."""
    if kind == "arctan":
        return 1.0 / (width * (1.0 + (math.pi / width * d) ** 2))
    if kind == "fast_sigmoid":
        return 1.0 / (width * (1.0 + d.abs() / width) ** 2)
    if kind == "triangular":
        return (1.0 - d.abs() / width).clamp(min=0) / width
    return (d.abs() < width / 2).to(d.dtype) / width
