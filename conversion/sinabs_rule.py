"""sinabs' own rule for Speck's integers: one scale a layer, the largest at which nothing leaves its bits.

For those who want the numbers that sinabs would have written; `conversion.speck` chooses scales by calibration.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

WEIGHT_BITS, STATE_BITS = 8, 16


class Integers(NamedTuple):
    """A layer's integers: weight and bias int32 of the shapes given, threshold, lower bound."""

    weight: np.ndarray
    bias: np.ndarray
    threshold: int
    low: int


def sinabs_scale(weight: np.ndarray, bias: np.ndarray, threshold: float, low: float) -> np.float32:
    """min over (weight, 8 bits), (bias, 8 bits) and ((low, threshold), 16 bits) of the factor that fills those bits.

    The factor takes the largest value to 2^(bits-1) - 1, or the smallest to -2^(bits-1) where that is the farther one;
    it is infinite where all are 0. In float32, operation for operation, so that equal integers come out. Source:
    sinabs 3.1.3, backend/dynapcnn/discretize.py, of a layer whose states have not been set.
    """
    return min(
        _filling(weight, WEIGHT_BITS),
        _filling(bias, WEIGHT_BITS),
        _filling(np.array([low, threshold]), STATE_BITS),
    )


def sinabs_integers(weight: np.ndarray, bias: np.ndarray, threshold: float, low: float) -> Integers:
    """A layer's values times `sinabs_scale`, rounded half to even."""
    scale = sinabs_scale(weight, bias, threshold, low)

    def rounded(values: np.ndarray) -> np.ndarray:
        return np.rint(values.astype(np.float32) * scale).astype(np.int32)

    bottom, top = rounded(np.array([low, threshold]))
    return Integers(rounded(weight), rounded(bias), int(top), int(bottom))


def _filling(values: np.ndarray, bits: int) -> np.float32:
    least, most = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    low, high = np.float32(values.min()), np.float32(values.max())
    from_top = abs(low) <= abs(high) * np.float32(-least / most)
    with np.errstate(divide="ignore"):  # all 0: any factor fits
        inverse = np.float32(1) / (high if from_top else low)  # torch divides a number by a tensor in two steps
    return abs(inverse * np.float32(most if from_top else least))
