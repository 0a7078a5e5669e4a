"""Draws outlines and strokes with exact pixel coverage, so that a shape moving by less than a pixel changes smoothly.

OpenCV's anti-aliased polygons let short edges jump by a whole pixel, which an event camera would
see as motion. Here the covered area of each pixel is summed edge by edge: an edge piece of
signed height dh at mean offset m inside a pixel covers dh (1 - m) of it, and dh of all pixels to its right.
"""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True)
def coverage(points, width, height, left, top):  # type: ignore[no-untyped-def]
    """Covered share of each pixel of a window, float32 [height, width]; points [n, 2] of a closed outline.

    Pixel (i, j) of the window spans left + j - 1/2 .. left + j + 1/2, so integers are pixel centres.
    """
    area = np.zeros((height, width + 2), np.float32)
    n = len(points)
    for k in range(n):
        x0, y0 = points[k, 0] - left + 0.5, points[k, 1] - top + 0.5
        x1, y1 = points[(k + 1) % n, 0] - left + 0.5, points[(k + 1) % n, 1] - top + 0.5
        if y0 == y1:
            continue
        sign = 1.0 if y1 > y0 else -1.0
        if sign < 0:
            x0, y0, x1, y1 = x1, y1, x0, y0
        slope = (x1 - x0) / (y1 - y0)
        for row in range(max(0, math.floor(y0)), min(height, math.ceil(y1))):
            low, high = max(y0, float(row)), min(y1, row + 1.0)
            a, b = x0 + (low - y0) * slope, x0 + (high - y0) * slope
            if a > b:
                a, b = b, a
            _add_row(area[row], a, b, sign * (high - low), width)
    for row in range(height):
        total = np.float32(0.0)
        for column in range(width):
            total += area[row, column]
            area[row, column] = min(abs(total), np.float32(1.0))
    return area[:, :width]


@numba.njit(cache=True)
def _add_row(row, a, b, rise, width):  # type: ignore[no-untyped-def]
    """Add an edge piece of signed height `rise` running from x = a to b >= a within one row of pixels."""
    length = b - a
    if a < 0:  # what lies left of the window covers whole rows of it
        row[0] += rise * (min(b, 0.0) - a) / length if length > 0 else rise
    if length == 0 and 0 <= a < width:
        cell = math.floor(a)
        row[cell] += rise * (1 - (a - cell))
        row[cell + 1] += rise * (a - cell)
    start, stop = max(a, 0.0), min(b, float(width))
    while start < stop:
        cell = math.floor(start)
        end = min(stop, cell + 1.0)
        part = rise * (end - start) / length
        middle = 0.5 * (start + end) - cell
        row[cell] += part * (1 - middle)
        row[cell + 1] += part * middle
        start = end


@numba.njit(cache=True)
def window(points, side):  # type: ignore[no-untyped-def]
    """left, top, width, height of the pixels an outline touches on a square image."""
    left = max(math.floor(points[:, 0].min()) - 1, 0)
    top = max(math.floor(points[:, 1].min()) - 1, 0)
    right = min(math.ceil(points[:, 0].max()) + 2, side)
    bottom = min(math.ceil(points[:, 1].max()) + 2, side)
    return left, top, max(right - left, 0), max(bottom - top, 0)


@numba.njit(cache=True)
def fill(image, points, value, opacity=1.0):  # type: ignore[no-untyped-def]
    """Move the pixels (float32, square image) inside a closed outline toward `value`, in place."""
    left, top, width, height = window(points, image.shape[0])
    share = coverage(points, width, height, left, top)
    for i in range(height):
        for j in range(width):
            if share[i, j] > 0:
                image[top + i, left + j] += (value - image[top + i, left + j]) * share[i, j] * opacity


@numba.njit(cache=True)
def fill_inside(image, points, value, clip):  # type: ignore[no-untyped-def]
    """As `fill`, but only where a second outline, `clip`, covers the image too."""
    left, top, width, height = window(clip, image.shape[0])
    share = coverage(points, width, height, left, top) * coverage(clip, width, height, left, top)
    for i in range(height):
        for j in range(width):
            if share[i, j] > 0:
                image[top + i, left + j] += (value - image[top + i, left + j]) * share[i, j]


@numba.njit(cache=True)
def ribbon(curve, thickness):  # type: ignore[no-untyped-def]
    """Closed outline of a stroke along an open curve [n, 2], `thickness` pixels wide."""
    n = len(curve)
    out = np.empty((2 * n, 2), np.float32)
    for k in range(n):
        dx = curve[min(k + 1, n - 1), 0] - curve[max(k - 1, 0), 0]
        dy = curve[min(k + 1, n - 1), 1] - curve[max(k - 1, 0), 1]
        half = 0.5 * thickness / max(math.sqrt(dx * dx + dy * dy), 1e-6)
        out[k, 0], out[k, 1] = curve[k, 0] - half * dy, curve[k, 1] + half * dx
        out[2 * n - 1 - k, 0], out[2 * n - 1 - k, 1] = curve[k, 0] + half * dy, curve[k, 1] - half * dx
    return out


def stroke(image: np.ndarray, curve: np.ndarray, thickness: float, value: float, opacity: float = 1.0) -> None:
    """Draw an open curve, in place."""
    fill(image, ribbon(curve, thickness), value, opacity)


def disc(centre: np.ndarray, radius: float) -> np.ndarray:
    """Outline of a circle."""
    return (centre + radius * _CIRCLE).astype(np.float32)


_ANGLE = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLE), np.sin(_ANGLE)], axis=1)
