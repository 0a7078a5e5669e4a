"""Chooses each layer's scale by what it costs at the network's output, not by the weights' own error."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from conversion.quantize import Grid, scale_candidates, scale_of_grid, whole_threshold
from snn.networks import ValenceArousalNet

CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the largest weight that the grid may end at: clipping a few large weights refines all others."""


@dataclass(frozen=True)
class Calibration:
    """What was chosen and what it costs.

    scales: integers per unit of weight, a layer each. errors: mean squared error of the estimates against the
    float network on the calibration clips after each layer was put on the grid.
    """

    scales: tuple[float, ...]
    errors: tuple[float, ...]


@torch.no_grad()
def calibrate(
    net: ValenceArousalNet,
    x: torch.Tensor,
    grid: Grid,
    largest: int,
    ceiling: Callable[[int], float],
    on_layer: Callable[[str], None] | None = None,
) -> Calibration:
    """Choose scales layer by layer, first to last, each given the ones before; weights on the grid keep theirs.

    Args:
        net: the float network.
        x: calibration input [T, B, C, H, W].
        grid: the chip's weight rounding; largest: its largest weight.
        ceiling: the largest scale layer k may have (so that threshold and state fit).
        on_layer: called with each layer's name when it is done.
    """
    reference = net(x)
    trial = copy.deepcopy(net)
    scales, errors = [], []
    for index, (name, layer, rounded) in enumerate(zip(net.names, net.layers, trial.layers, strict=True)):
        weight = layer.synapse.weight.detach().numpy().astype(np.float64)
        options = _options(weight, layer.neuron.threshold, grid, largest, ceiling(index))
        costs = []
        for scale in options:
            rounded.synapse.weight.copy_(torch.as_tensor(grid(weight, scale) / scale))
            costs.append(float((trial(x) - reference).square().mean()))
        best = int(np.argmin(costs))
        rounded.synapse.weight.copy_(torch.as_tensor(grid(weight, options[best]) / options[best]))
        scales.append(options[best])
        errors.append(costs[best])
        if on_layer:
            on_layer(name)
    return Calibration(tuple(scales), tuple(errors))


def _options(weight: np.ndarray, threshold: float, grid: Grid, largest: int, ceiling: float) -> list[float]:
    kept = scale_of_grid(weight, threshold, grid, largest, ceiling)
    if kept is not None:  # trained on the grid: any other scale would round again
        return [kept]
    return [whole_threshold(scale, threshold, ceiling) for scale in scale_candidates(weight, largest, CLIPS)]
