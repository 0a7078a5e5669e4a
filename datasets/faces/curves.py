"""Smooth curves through moving points."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=64)
def _spline_matrix(n: int, closed: bool, per_segment: int) -> np.ndarray:
    segments = n if closed else n - 1
    u = np.arange(per_segment) / per_segment
    basis = 0.5 * np.stack([-u + 2 * u**2 - u**3, 2 - 5 * u**2 + 3 * u**3, u + 4 * u**2 - 3 * u**3, u**3 - u**2], 1)
    matrix = np.zeros((segments * per_segment + (not closed), n))
    for s in range(segments):
        rows = slice(s * per_segment, (s + 1) * per_segment)
        for k in range(4):
            point = (s + k - 1) % n if closed else min(max(s + k - 1, 0), n - 1)
            matrix[rows, point] += basis[:, k]
    if not closed:
        matrix[-1, -1] = 1.0
    return matrix


def spline(points: np.ndarray, *, closed: bool = False, per_segment: int = 4) -> np.ndarray:
    """Catmull-Rom spline through `points` [..., n, 2], as [..., m, 2] points on it."""
    return _spline_matrix(points.shape[-2], closed, per_segment) @ points


def smoothstep(x: np.ndarray | float, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, 3u^2 - 2u^3 between."""
    u = np.clip((np.asarray(x, float) - low) / (high - low), 0.0, 1.0)
    return u * u * (3 - 2 * u)
