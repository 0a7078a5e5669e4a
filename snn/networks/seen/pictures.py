"""Pictures as SEEN takes them: square, of one size, normalised, grey in three equal channels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

from neuva import NeuvaError


class Moments(NamedTuple):
    """Mean and standard deviation of a data set's pictures, black 0 and white 1."""

    mean: float
    std: float


EVENT_MOMENTS, FRAME_MOMENTS = Moments(0.504413, 0.06928615), Moments(0.22616537, 0.118931554)
"""Of SEE's event pictures and intensity frames (published code)."""


def normalised(grey: torch.Tensor, moments: Moments, side: int = 90) -> torch.Tensor:
    """Pictures [..., 3, side, side], float32, from grey ones [..., H, W]: uint8, or floats in [0, 1].

        y = (resize(x) - mean) / std

    The shorter side becomes `side` (bilinear, smoothed where it shrinks), of the longer the middle is kept; SEE's
    are square, so that nothing is cut. SEEN reads its grey pictures as colours and convolves three equal channels:
    here they are one channel seen three times (`expand`), which costs no memory and keeps the number of parameters.

    Raises:
        NeuvaError: if the pictures are of another type or have no pixels.
    """
    if grey.dtype != torch.uint8 and not grey.is_floating_point():
        raise NeuvaError(f"pictures of type {grey.dtype} must be uint8, or floats in [0, 1]: convert them")
    if grey.ndim < 2 or not grey.numel():
        raise NeuvaError(
            f"pictures of shape {tuple(grey.shape)} must be [..., H, W], with pixels: leave empty ones out"
        )
    x = grey.float() / 255 if grey.dtype == torch.uint8 else grey.float()
    height, width = x.shape[-2:]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    x = x[..., top : top + square, left : left + square].reshape(-1, 1, square, square)
    if square != side:
        x = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
    x = (x - moments.mean) / moments.std
    return x.expand(-1, 3, -1, -1).reshape(*grey.shape[:-2], 3, side, side)
