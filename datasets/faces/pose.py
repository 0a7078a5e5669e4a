"""Turns the upright face canvas in space and places it in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from datasets.faces.canvas import Canvas

FACE_UNIT = 0.252
"""Length of a face unit in the picture at scale 1, as a fraction of the picture's side."""

CENTRE = (0.5, 0.47)
"""Where the face's origin rests, as a fraction of the picture's side."""

_GRID = 33
_DEPTH = 0.85  # of the nose before the pivot, with the dome below; the pivot lies inside the head


@dataclass(frozen=True)
class Pose:
    """Head pose over T frames: angles in radians, shift as a fraction of the side, scale around 1; [T] each.

    yaw > 0 turns the face to the image's right, pitch > 0 nods down, roll > 0 tilts clockwise.
    """

    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    x: np.ndarray
    y: np.ndarray
    scale: np.ndarray

    def rotation(self, frame: int) -> np.ndarray:
        """Rotation matrix roll * pitch * yaw; z toward the viewer, x right, y down."""
        (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a[frame]), np.sin(a[frame])) for a in (self.yaw, self.pitch, self.roll))
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return about_z @ about_x @ about_y


class Turner:
    """Looks up, for each pixel of the picture, where on the canvas it comes from.

    A canvas point (x, y) of depth z(x, y) appears at c + t + s (R (x, y, z))_xy (weak perspective). The
    inverse is found on a coarse grid by fixed-point iteration, which converges while the depth's slope
    times the sine of the angle is below 1 (turns up to about 40 degrees), then enlarged smoothly.
    """

    def __init__(self, canvas: Canvas, size: int, relief: float) -> None:
        self.canvas, self.size = canvas, size
        x, y = np.meshgrid(*canvas.grid())
        dome = _DEPTH * np.exp(-0.75 * ((x / 1.05) ** 2 + (y / 1.45) ** 2)) - 0.35
        nose = 0.2 * relief * np.exp(-((x / 0.13) ** 2) - ((y - 0.36) / 0.22) ** 2)
        self._depth = (dome + nose).astype(np.float32)
        axis = (np.linspace(0, 1, _GRID) * size).astype(np.float32)
        self._x, self._y = np.meshgrid(axis, axis)

    def maps(self, pose: Pose, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """x and y on the canvas in pixels for each pixel of the picture, float32 [size, size]."""
        r = pose.rotation(frame)
        unit = FACE_UNIT * self.size * pose.scale[frame]
        u = (self._x - (CENTRE[0] + pose.x[frame]) * self.size) / unit
        v = (self._y - (CENTRE[1] + pose.y[frame]) * self.size) / unit
        (a, b), (c, d) = np.linalg.inv(r[:2, :2])
        base_x, base_y = a * u + b * v, c * u + d * v
        slope_x, slope_y = a * r[0, 2] + b * r[1, 2], c * r[0, 2] + d * r[1, 2]
        x, y = base_x, base_y
        for _ in range(5):
            mx, my = self._pixels(x), self._pixels(y)
            z = cv2.remap(self._depth, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            x, y = base_x - slope_x * z, base_y - slope_y * z
        return self._enlarge(self._pixels(x)), self._enlarge(self._pixels(y))

    def _pixels(self, v: np.ndarray) -> np.ndarray:
        return ((v + self.canvas.span / 2) * self.canvas.unit - 0.5).astype(np.float32)

    def _enlarge(self, coarse: np.ndarray) -> np.ndarray:
        """Bilinear from grid corners (0 .. size) to pixel centres."""
        step = (_GRID - 1) / self.size
        matrix = np.array([[step, 0, 0.5 * step], [0, step, 0.5 * step]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(coarse, matrix, (self.size, self.size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
