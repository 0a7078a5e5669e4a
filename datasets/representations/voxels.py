"""Voxel grid: signed events, shared between the two bins nearest in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit

from datasets.events import Events
from datasets.structured import as_events
from neuva import NeuvaError

Spacing = Literal["zhu", "tonic"]


def voxel_grid(events: Events, bins: int, spacing: Spacing = "zhu") -> np.ndarray:
    """Voxel grid with bilinear interpolation in time (Zhu et al., CVPR 2019), float32 [B, 1, H, W].

    ``V[b, 0, y, x] = sum_i s_i max(0, 1 - |b - n (t_i - t_0) / (t_N - t_0)|)`` over the events i of pixel (x, y), with
    s = +1 for ON, -1 for OFF. "zhu": n = B - 1, so the first bin lies at the first event, the last bin at the last,
    and each event counts in full. "tonic": n = B, as Tonic's ``ToVoxelGrid``, whose last bin lies one B-th before the
    end, so that the events after it count in part and the very last not at all. Events of one time go into bin 0.

    Raises:
        NeuvaError: if bins is below 1 or spacing is neither.
    """
    _check(bins, spacing)
    width, height = events.sensor_size
    grid = np.zeros((bins, height * width), np.float64)  # single precision would lose small sums of many events
    _interpolate(events.array, width, bins - 1 if spacing == "zhu" else bins, grid)
    return grid.astype(np.float32).reshape(bins, 1, height, width)


@dataclass(frozen=True)
class ToVoxelGrid:
    """`voxel_grid` as a Tonic transform: structured array [N] with t, x, y, p to float32 [B, 1, H, W].

    sensor_size: (width, height), or Tonic's (width, height, 2).

    Raises:
        NeuvaError: as `voxel_grid`, and for events outside the sensor.
    """

    sensor_size: tuple[int, ...]
    bins: int
    spacing: Spacing = "zhu"

    def __post_init__(self) -> None:
        _check(self.bins, self.spacing)

    def __call__(self, events: np.ndarray) -> np.ndarray:
        """The grid, float32 [B, 1, H, W]."""
        return voxel_grid(as_events(events, self.sensor_size), self.bins, self.spacing)


def _check(bins: int, spacing: str) -> None:
    if bins < 1:
        raise NeuvaError(f"voxel grid of {bins} bins: needed at least 1")
    if spacing not in ("zhu", "tonic"):
        raise NeuvaError(f"voxel grid with bins spaced as {spacing!r}: choose zhu or tonic")


@njit(cache=True, nogil=True)
def _interpolate(events: np.ndarray, width: int, intervals: int, grid: np.ndarray) -> None:
    if len(events) == 0:
        return
    t0, span = events[0].t, max(events[len(events) - 1].t - events[0].t, 1)
    for i in range(len(events)):
        event = events[i]
        pixel = np.uint64(event.y * width + event.x)
        position = intervals * float(event.t - t0) / span
        b = int(position)
        sign, later = 2.0 * event.p - 1.0, position - b
        if b < len(grid):
            grid[b, pixel] += sign * (1.0 - later)
        if b + 1 < len(grid):
            grid[b + 1, pixel] += sign * later
