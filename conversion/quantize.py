"""Number formats of the chips: every rule by which a float becomes one of their integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

DECAY_ONE = 4096
LOIHI_WEIGHT_MAX, LOIHI_WEIGHT_MIN = 254, -256
LOIHI_THRESHOLD_MAX = 131_071
LOIHI_SHIFT = 6
LOIHI_EXP_MAX = 7
LOIHI_BIAS_MAX = 4095 << 7
SPECK_WEIGHT_MAX, SPECK_WEIGHT_MIN = 127, -128
SPECK_STATE_MAX, SPECK_STATE_MIN = 32_767, -32_768


def loihi_weight(weight: np.ndarray, scale: float) -> np.ndarray:
    """Weights on Loihi's mixed-sign 8-bit grid: the nearest even integer to weight * scale, within -256..254."""
    return np.clip(2 * np.rint(weight * scale / 2), LOIHI_WEIGHT_MIN, LOIHI_WEIGHT_MAX).astype(np.int32)


def loihi_exponent(weight: np.ndarray, threshold: float) -> int:
    """The least weight exponent, 0 or more, at which the largest weight fits where the threshold's mantissa is 1."""
    ratio = (1 - FLOAT32) * float(np.max(np.abs(weight), initial=0)) / threshold
    return max(0, int(np.ceil(np.log2(ratio / -LOIHI_WEIGHT_MIN)))) if ratio else 0


def loihi_du(alpha: float) -> int:
    """Current decay du, 12 bits, of u's factor alpha = (4096 - (du + 1)) / 4096; alpha = 0 gives 4095."""
    return int(np.clip(DECAY_ONE - 1 - round(DECAY_ONE * alpha), 0, DECAY_ONE - 1))


def loihi_dv(beta: float) -> int:
    """Voltage decay dv, 12 bits, of v's factor beta = (4096 - dv) / 4096."""
    return int(np.clip(DECAY_ONE - round(DECAY_ONE * beta), 0, DECAY_ONE - 1))


def loihi_alpha(du: int) -> float:
    """The factor of u that du stands for; the inverse of `loihi_du`."""
    return (DECAY_ONE - 1 - du) / DECAY_ONE


def loihi_beta(dv: int) -> float:
    """The factor of v that dv stands for; the inverse of `loihi_dv`."""
    return (DECAY_ONE - dv) / DECAY_ONE


def loihi_bias(bias: np.ndarray, scale: float) -> tuple[np.ndarray, int]:
    """Bias in v's units (scale * 2^6), as (mantissa << exponent, exponent): the smallest exponent that holds it."""
    wanted = bias * scale * (1 << LOIHI_SHIFT)
    largest = np.max(np.abs(wanted), initial=0)
    exponent = next((e for e in range(8) if largest <= 4095 << e), 7)
    mantissa = np.clip(np.rint(wanted / (1 << exponent)), -4096, 4095).astype(np.int32)
    return mantissa << exponent, exponent


def loihi_vth(whole: int, du: int, dv: int, bias: np.ndarray) -> int:
    """The threshold's mantissa for neurons that fire from `whole` on: the chip fires above vth << 6, not at it.

    Where nothing decays and each bias is a multiple of 64, so is v, and above whole - 1 is from whole on. Elsewhere v
    has all its bits, and only a tie is lost.
    """
    exact = du == DECAY_ONE - 1 and dv == 0 and not np.any(bias % (1 << LOIHI_SHIFT))
    return whole - 1 if exact else whole


def speck_weight(weight: np.ndarray, scale: float) -> np.ndarray:
    """Weights as Speck's 8-bit words: weight * scale rounded half to even, within -128..127."""
    return np.clip(np.rint(weight * scale), SPECK_WEIGHT_MIN, SPECK_WEIGHT_MAX).astype(np.int32)


def whole_threshold(scale: float, threshold: float, ceiling: float = float("inf")) -> float:
    """The scale nearest to `scale`, and not above `ceiling`, that makes the threshold a whole number."""
    whole = max(round(threshold * min(scale, ceiling)), 1)
    return (whole if whole / threshold <= ceiling else max(whole - 1, 1)) / threshold


def scale_candidates(weight: np.ndarray, largest: int, clips: tuple[float, ...]) -> list[float]:
    """Scales that map clip * max|weight| onto the largest integer, for each share in `clips`."""
    peak = float(np.max(np.abs(weight), initial=0)) or 1.0
    return [largest / (peak * clip) for clip in clips]


Grid = Callable[[np.ndarray, float], np.ndarray]
"""A function (weight, scale) -> integers."""
FLOAT32 = 2.0**-22
"""How far a float32 may lie from what it stands for, relative, with room for one more rounding."""
PROBES = 16


def scale_of_grid(weight: np.ndarray, threshold: float, grid: Grid, largest: int, ceiling: float) -> float | None:
    """The largest scale at which `weight` is a chip's integers already, None if there is none.

    The threshold is whole on the chip, so scales are whole / threshold, and few: all are tried, first on the largest
    weights, the ones that rule out most.
    """
    flat = weight.ravel()
    order = np.argsort(-np.abs(flat))[:PROBES]
    peak = abs(flat[order[0]])
    if peak == 0:
        return None
    highest = min((largest + 2) / peak, ceiling) * threshold  # the grid goes a step further down than up
    scales = np.arange(int(highest * (1 + FLOAT32)), 0, -1) / threshold
    likely = scales[_lies_on(flat[order], grid, scales[:, None]).all(axis=1)]
    return next((float(scale) for scale in likely if _lies_on(flat, grid, scale).all()), None)


def _lies_on(weight: np.ndarray, grid: Grid, scale: Any) -> np.ndarray:
    words = weight * scale
    return np.abs(grid(weight, scale) - words) <= FLOAT32 * np.abs(words)
