"""The synaptic weights Loihi really holds: 8 bits, the least one lost where signs are mixed."""

from __future__ import annotations

import numpy as np

WEIGHT_BITS = 8


def on_grid(weight: np.ndarray) -> np.ndarray:
    """Round and clip weights to what an 8-bit synapse holds (Lava's `clip_weights` and `truncate_weights`).

    Mixed signs: -256..254, floored to even (101 -> 100, -101 -> -102). One sign only: 0..255 or -255..0, each
    integer.

    Args:
        weight: integers of one layer; its signs decide the mode for the whole layer.

    Returns:
        int32, same shape.
    """
    largest = (1 << WEIGHT_BITS) - 1
    mixed = bool(weight.size) and weight.min() < 0 < weight.max()
    clipped = np.clip(weight, -largest - mixed, largest).astype(np.int32)  # before the cast, which would wrap
    return (clipped >> 1) << 1 if mixed else clipped
