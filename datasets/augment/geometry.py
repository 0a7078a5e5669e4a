"""Flip, shift, scale and rotate: each pixel takes over the events of the pixel it shows after the change.

That is what a sensor sees of the picture changed with nearest neighbours: pixels of an event camera know nothing of
each other, so changing the video and then taking its events gives the same events. Scaling up therefore repeats
events (a larger face crosses more pixels) and leaves no holes; scaling down leaves some out.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from datasets.augment.base import Range, SensorAugmentation, check_range, drawn, with_events, with_track
from datasets.face_track import track_of
from datasets.sample import Sample

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


class Move(NamedTuple):
    """The picture mirrored, turned clockwise and scaled about its centre c, then shifted.

    What was at q comes to lie at ``c + (dx, dy) + factor R(degrees) mirror (q - c)``, in pixels, pixel x covering
    [x, x + 1). mirror: -1 in x exchanges left and right, -1 in y top and bottom.
    """

    dx: float = 0
    dy: float = 0
    factor: float = 1
    degrees: float = 0
    mirror: tuple[int, int] = (1, 1)

    def source(self, sensor_size: tuple[int, ...]) -> np.ndarray:
        """Map for `warp`, int64 [H, W]: each pixel shows what comes to lie at its centre."""
        width, height = sensor_size[:2]
        x = np.arange(width) + 0.5 - width / 2 - self.dx
        y = (np.arange(height) + 0.5 - height / 2 - self.dy)[:, None]
        cos, sin = self._turn() / self.factor
        from_x = np.floor(self.mirror[0] * (cos * x + sin * y) + width / 2).astype(np.int64)
        from_y = np.floor(self.mirror[1] * (cos * y - sin * x) + height / 2).astype(np.int64)
        inside = (from_x >= 0) & (from_x < width) & (from_y >= 0) & (from_y < height)
        return np.where(inside, from_y * width + from_x, NOTHING)

    def boxes(self, boxes: np.ndarray, sensor_size: tuple[int, ...]) -> np.ndarray:
        """Where boxes (centre x, centre y, side) come to lie, float64 [N, 3]; they stay upright as they turn."""
        width, height = sensor_size[:2]
        x = self.mirror[0] * (boxes[:, 0] - width / 2)
        y = self.mirror[1] * (boxes[:, 1] - height / 2)
        cos, sin = self._turn() * self.factor
        to_x = width / 2 + self.dx + cos * x - sin * y
        to_y = height / 2 + self.dy + sin * x + cos * y
        return np.column_stack([to_x, to_y, self.factor * boxes[:, 2]])

    def _turn(self) -> np.ndarray:
        angle = np.deg2rad(self.degrees)
        return np.array([np.cos(angle), np.sin(angle)])


def affine_map(
    sensor_size: tuple[int, ...], dx: float = 0, dy: float = 0, factor: float = 1, degrees: float = 0
) -> np.ndarray:
    """Map for `warp`, int64 [H, W], of what `Move` says."""
    return Move(dx, dy, factor, degrees).source(sensor_size)


@dataclass(frozen=True, eq=False)
class _Moved(SensorAugmentation):
    """The face track of a `Sample` moves with the picture."""

    def _change(self, events: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return self._moved(events, self._move(random))

    def _change_sample(self, sample: Sample, random: np.random.Generator) -> Sample:
        move, track, meta = self._move(random), track_of(sample.meta), sample.meta
        if track is not None:
            meta = with_track(meta, track.times, move.boxes(track.boxes, self.sensor_size))
        return with_events(sample, self._moved(sample.events.array, move), meta=meta)

    @abstractmethod
    def _move(self, random: np.random.Generator) -> Move:
        """The drawn move."""

    def _moved(self, events: np.ndarray, move: Move) -> np.ndarray:
        return events.copy() if move == Move() else warp(events, move.source(self.sensor_size))


@dataclass(frozen=True, eq=False)
class FlipLR(_Moved):
    """By chance, left and right exchanged: ``x' = width - 1 - x``. As Tonic's ``RandomFlipLR``."""

    chance: float = 0.5

    def __post_init__(self) -> None:
        check_range("chance", self.chance, 0, 1)

    def _move(self, random: np.random.Generator) -> Move:
        return Move(mirror=(-1, 1)) if random.random() < self.chance else Move()


@dataclass(frozen=True, eq=False)
class FlipUD(_Moved):
    """By chance, top and bottom exchanged: ``y' = height - 1 - y``. As Tonic's ``RandomFlipUD``."""

    chance: float = 0.5

    def __post_init__(self) -> None:
        check_range("chance", self.chance, 0, 1)

    def _move(self, random: np.random.Generator) -> Move:
        return Move(mirror=(1, -1)) if random.random() < self.chance else Move()


@dataclass(frozen=True, eq=False)
class Shift(_Moved):
    """The picture shifted by whole pixels, right and down; what leaves the sensor is lost.

    dx, dy: pixels, or (lowest, highest) of whole numbers, both among them.
    """

    dx: int | tuple[int, int] = 0
    dy: int | tuple[int, int] = 0

    def __post_init__(self) -> None:
        width, height = self.sensor_size[:2]
        check_range("shift to the right", self.dx, -width, width)
        check_range("shift down", self.dy, -height, height)

    def _move(self, random: np.random.Generator) -> Move:
        dx, dy = (int(random.integers(*d, endpoint=True)) if isinstance(d, tuple) else d for d in (self.dx, self.dy))
        return Move(dx=dx, dy=dy)


@dataclass(frozen=True, eq=False)
class Scale(_Moved):
    """The picture scaled about its centre: by 2, a face is twice as wide. factor: 0.1 to 10."""

    factor: Range = (0.9, 1.1)

    def __post_init__(self) -> None:
        check_range("scale", self.factor, 0.1, 10)

    def _move(self, random: np.random.Generator) -> Move:
        return Move(factor=drawn(self.factor, random))


@dataclass(frozen=True, eq=False)
class Rotate(_Moved):
    """The picture turned about its centre. degrees: clockwise, -180 to 180."""

    degrees: Range = (-10.0, 10.0)

    def __post_init__(self) -> None:
        check_range("turn in degrees", self.degrees, -180, 180)

    def _move(self, random: np.random.Generator) -> Move:
        return Move(degrees=drawn(self.degrees, random))


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
