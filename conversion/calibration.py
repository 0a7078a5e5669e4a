"""Chooses each layer's scale by what it costs at the network's output, not by the weights' own error."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from conversion.quantize import Grid, scale_candidates, scale_of_grid, whole_threshold
from hardware.program import ChipProgram
from hardware.rules import Finding
from snn.networks import ValenceArousalNet

OUTPUT_STEPS = 10
"""Time constant, in steps, over which spikes count as output where a network has no read-out."""
CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the largest weight that the grid may end at: clipping a few large weights refines all others."""
OUTLIERS = tuple(2.0**-j for j in range(12))
"""The same where a weight is beyond the grid's end at any scale: it may be one among many small ones."""


@dataclass(frozen=True)
class Calibration:
    """What was chosen and what it costs.

    scales: integers per unit of weight, a layer each. errors: mean squared error of the outputs (`outputs`) against
    the float network on the calibration clips after each layer was put on the grid. exponents: of each layer's
    integers, which are multiples of 2 ** exponent. clipped: of each layer the share of its weights that lose more than
    half of themselves at the grid's end, and how many times too small the worst is (0, 0 if none does).
    """

    scales: tuple[float, ...]
    errors: tuple[float, ...]
    exponents: tuple[int, ...]
    clipped: tuple[tuple[float, float], ...] = ()


@torch.no_grad()
def calibrate(
    net: ValenceArousalNet,
    x: torch.Tensor,
    grid: Grid,
    largest: int,
    ceiling: Callable[[int], float],
    exponent: Callable[[int], int] = lambda _: 0,
) -> Calibration:
    """Choose scales layer by layer, first to last, each given the ones before; weights on the grid keep theirs.

    Args:
        net: the float network.
        x: calibration input [T, B, C, H, W].
        grid: the chip's weight rounding; largest: its largest weight.
        ceiling: the largest scale layer k may have (so that threshold and state fit).
        exponent: the one that holds layer k's largest weight; where it is above 0, clipping at 0 is tried as well.
    """
    reference = outputs(net, x)
    trial = copy.deepcopy(net)
    scales, errors, exponents, lost = [], [], [], []
    for index, (layer, rounded) in enumerate(zip(net.layers, trial.layers, strict=True)):
        weight = layer.synapse.weight.detach().numpy().astype(np.float64)
        options = _options(weight, layer.neuron.threshold, grid, largest, ceiling(index))
        if exponent(index):
            unit = 1 << exponent(index)
            wide = _options(weight, layer.neuron.threshold, _in_units(grid, unit), largest * unit, ceiling(index))
            clipped = _options(weight, layer.neuron.threshold, grid, largest, ceiling(index), OUTLIERS)
            options = [(scale, exponent(index)) for scale, _ in wide] + clipped
        costs = []
        for scale, power in options:
            rounded.synapse.weight.copy_(_as_rounded(grid, weight, scale, power))
            costs.append(float((outputs(trial, x) - reference).square().mean()))
        scale, power = options[int(np.argmin(costs))]
        rounded.synapse.weight.copy_(_as_rounded(grid, weight, scale, power))
        scales.append(scale)
        errors.append(min(costs))
        exponents.append(power)
        lost.append(_clipped(weight, _in_units(grid, 1 << power)(weight, scale) / scale, (largest << power) / scale))
    return Calibration(tuple(scales), tuple(errors), tuple(exponents), tuple(lost))


def clippings(program: ChipProgram) -> list[Finding]:
    """A warning for each layer of which calibration clipped weights far: right on its clips, perhaps not on others."""
    told = program.provenance["calibration_clipped"]
    return [
        Finding(
            "weights_clipped",
            "warning",
            f"layer {layer.name}",
            f"{share:.2g} of its weights are clipped to less than half, the worst to 1/{times:.3g} of itself",
            "1/2",
            "calibrate on clips in which its input spikes, or train without such outliers",
        )
        for layer, (share, times) in zip(program.layers, told, strict=False)
        if share
    ]


def _clipped(weight: np.ndarray, rounded: np.ndarray, end: float) -> tuple[float, float]:
    far = (np.abs(weight) > 2 * np.abs(rounded)) & (np.abs(rounded) >= end * (1 - 1e-9))
    worst = np.max(np.abs(weight[far] / rounded[far]), initial=0)
    return float(far.mean()), float(worst)


def _as_rounded(grid: Grid, weight: np.ndarray, scale: float, power: int) -> torch.Tensor:
    return torch.as_tensor(_in_units(grid, 1 << power)(weight, scale) / scale)


def _in_units(grid: Grid, unit: int) -> Grid:
    return lambda weight, scale: grid(weight, scale / unit) * unit


def outputs(net: ValenceArousalNet, x: torch.Tensor) -> torch.Tensor:
    """What a network is judged by: its outputs, or, without a read-out, the sent spikes' traces [T, B, N].

    r[t] = (1 - 1 / k) r[t-1] + s[t] / k, k = `OUTPUT_STEPS`: a spike that comes a step later costs less than none.
    """
    out = net(x)
    if net.readout is not None:
        return out
    trace, traces = torch.zeros_like(out[0]), []
    for sent in out.unbind(0):
        trace = trace + (sent - trace) / OUTPUT_STEPS
        traces.append(trace)
    return torch.stack(traces)


def _options(
    weight: np.ndarray,
    threshold: float,
    grid: Grid,
    largest: int,
    ceiling: float,
    clips: tuple[float, ...] = CLIPS,
) -> list[tuple[float, int]]:
    kept = scale_of_grid(weight, threshold, grid, largest, ceiling)
    if kept is not None:  # trained on the grid: any other scale would round again
        return [(kept, 0)]
    return [(whole_threshold(scale, threshold, ceiling), 0) for scale in scale_candidates(weight, largest, clips)]
