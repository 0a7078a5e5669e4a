"""Flip, shift, scale and rotate: each pixel takes over the events of the pixel it shows after the change.

That is what a sensor sees of the picture changed with nearest neighbours: pixels of an event camera know nothing of
each other, so changing the video and then taking its events gives the same events. Scaling up therefore repeats
events (a larger face crosses more pixels) and leaves no holes; scaling down leaves some out.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numba import njit

from datasets.augment.base import Range, SensorAugmentation, check_range, drawn

NOTHING = -1
"""In a map: a pixel that shows what lay outside the sensor, and so is silent."""


def warp(events: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The events as another arrangement of the pixels sees them, in the order of time.

    events: structured array [N] inside the sensor. source: int64 [H, W], the flat index ``y W + x`` of the pixel whose
    events each pixel takes over, or `NOTHING`.
    """
    width = source.shape[1]
    rows, pixels = _take(events["y"].astype(np.int64) * width + events["x"], source.ravel())
    out = events[rows]
    out["x"], out["y"] = pixels % width, pixels // width
    return out


def affine_map(
    sensor_size: tuple[int, ...], dx: float = 0, dy: float = 0, factor: float = 1, degrees: float = 0
) -> np.ndarray:
    """Map for `warp`, int64 [H, W]: the picture turned clockwise and scaled about its centre c, then shifted.

    What was at q comes to lie at ``c + (dx, dy) + factor R(degrees) (q - c)``, in pixels, pixel x covering [x, x + 1);
    each pixel shows what comes to lie at its centre.
    """
    width, height = sensor_size[:2]
    x = np.arange(width) + 0.5 - width / 2 - dx
    y = (np.arange(height) + 0.5 - height / 2 - dy)[:, None]
    cos, sin = np.cos(np.deg2rad(degrees)) / factor, np.sin(np.deg2rad(degrees)) / factor
    from_x = np.floor(cos * x + sin * y + width / 2).astype(np.int64)
    from_y = np.floor(cos * y - sin * x + height / 2).astype(np.int64)
    inside = (from_x >= 0) & (from_x < width) & (from_y >= 0) & (from_y < height)
    return np.where(inside, from_y * width + from_x, NOTHING)


@dataclass(frozen=True, eq=False)
class _Warp(SensorAugmentation):
    def _change(self, events: np.ndarray, random: np.random.Generator) -> np.ndarray:
        source = self._source(random)
        return events.copy() if source is None else warp(events, source)

    @abstractmethod
    def _source(self, random: np.random.Generator) -> np.ndarray | None:
        """The drawn map, int64 [H, W]; None: as it is."""

    def _pixels(self) -> np.ndarray:
        width, height = self.sensor_size[:2]
        return np.arange(height * width).reshape(height, width)


@dataclass(frozen=True, eq=False)
class FlipLR(_Warp):
    """By chance, left and right exchanged: ``x' = width - 1 - x``. As Tonic's ``RandomFlipLR``."""

    chance: float = 0.5

    def __post_init__(self) -> None:
        check_range("chance", self.chance, 0, 1)

    def _source(self, random: np.random.Generator) -> np.ndarray | None:
        return self._pixels()[:, ::-1] if random.random() < self.chance else None


@dataclass(frozen=True, eq=False)
class FlipUD(_Warp):
    """By chance, top and bottom exchanged: ``y' = height - 1 - y``. As Tonic's ``RandomFlipUD``."""

    chance: float = 0.5

    def __post_init__(self) -> None:
        check_range("chance", self.chance, 0, 1)

    def _source(self, random: np.random.Generator) -> np.ndarray | None:
        return self._pixels()[::-1] if random.random() < self.chance else None


@dataclass(frozen=True, eq=False)
class Shift(_Warp):
    """The picture shifted by whole pixels, right and down; what leaves the sensor is lost.

    dx, dy: pixels, or (lowest, highest) of whole numbers, both among them.
    """

    dx: int | tuple[int, int] = 0
    dy: int | tuple[int, int] = 0

    def __post_init__(self) -> None:
        width, height = self.sensor_size[:2]
        check_range("shift to the right", self.dx, -width, width)
        check_range("shift down", self.dy, -height, height)

    def _source(self, random: np.random.Generator) -> np.ndarray:
        dx, dy = (int(random.integers(*d, endpoint=True)) if isinstance(d, tuple) else d for d in (self.dx, self.dy))
        return affine_map(self.sensor_size, dx=dx, dy=dy)


@dataclass(frozen=True, eq=False)
class Scale(_Warp):
    """The picture scaled about its centre: by 2, a face is twice as wide. factor: 0.1 to 10."""

    factor: Range = (0.9, 1.1)

    def __post_init__(self) -> None:
        check_range("scale", self.factor, 0.1, 10)

    def _source(self, random: np.random.Generator) -> np.ndarray:
        return affine_map(self.sensor_size, factor=drawn(self.factor, random))


@dataclass(frozen=True, eq=False)
class Rotate(_Warp):
    """The picture turned about its centre. degrees: clockwise, -180 to 180."""

    degrees: Range = (-10.0, 10.0)

    def __post_init__(self) -> None:
        check_range("turn in degrees", self.degrees, -180, 180)

    def _source(self, random: np.random.Generator) -> np.ndarray:
        return affine_map(self.sensor_size, degrees=drawn(self.degrees, random))


@njit(cache=True, nogil=True)
def _take(pixels: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the events taken over, in order, and the pixels that take them."""
    first = np.zeros(len(source) + 1, np.int64)  # takers of pixel q: takers[first[q] : first[q + 1]]
    for q in source:
        if q >= 0:
            first[q + 1] += 1
    first = np.cumsum(first)
    takers, filled = np.empty(first[-1], np.int64), first[:-1].copy()
    for pixel in range(len(source)):
        q = source[pixel]
        if q >= 0:
            takers[filled[q]] = pixel
            filled[q] += 1
    total = 0
    for q in pixels:
        total += first[q + 1] - first[q]
    rows, to = np.empty(total, np.int64), np.empty(total, np.int64)
    n = 0
    for row in range(len(pixels)):
        for k in range(first[pixels[row]], first[pixels[row] + 1]):
            rows[n], to[n] = row, takers[k]
            n += 1
    return rows, to
