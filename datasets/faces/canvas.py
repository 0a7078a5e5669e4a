"""The canvas a head is painted on, upright and facing the camera, before it is turned and placed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.faces.raster import fill

HEAD_SPAN, BODY_SPAN = 3.6, 5.4
"""Sides of the canvases of head and body in face units; the face's origin is their centre."""


@dataclass(frozen=True)
class Canvas:
    """A square canvas of `side` pixels, `span` face units wide, and the change from face units to its pixels."""

    side: int
    span: float = HEAD_SPAN

    @property
    def unit(self) -> float:
        """Pixels per face unit."""
        return self.side / self.span

    def pixels(self, curve: np.ndarray) -> np.ndarray:
        """Curves in face units as pixel coordinates, float32; integers are pixel centres."""
        return ((curve + self.span / 2) * self.unit - 0.5).astype(np.float32)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y of the pixel centres in face units, float32 [side] each."""
        axis = ((np.arange(self.side) + 0.5) / self.unit - self.span / 2).astype(np.float32)
        return axis, axis

    def empty(self) -> np.ndarray:
        """An image of zeros, float32 [side, side]."""
        return np.zeros((self.side, self.side), np.float32)

    def mask(self, outline: np.ndarray) -> np.ndarray:
        """Coverage of a closed outline in face units, float32 [side, side] in [0, 1]."""
        image = self.empty()
        fill(image, self.pixels(outline), 1.0)
        return image
