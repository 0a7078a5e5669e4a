"""The face as a relief z(x, y): a dome with bumps that action units raise and move, lit from a direction.

z = dome + sum_k a_k exp(-(x - cx_k)^2 / 2 sx_k^2 - (y - cy_k)^2 / 2 sy_k^2). Each bump is a product of a
row and a column, so the slopes dz/dx and dz/dy of all bumps are two small matrix products. The
brightness is Lambert's: ambient + diffuse max(0, n . l), n the unit normal of the relief.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.faces.canvas import Canvas
from datasets.faces.geometry import Mouth, Units
from datasets.faces.identity import Identity


@dataclass(frozen=True)
class Bumps:
    """K bumps over T frames: centres and heights [T, K], widths [K], in face units."""

    cx: np.ndarray
    cy: np.ndarray
    sx: np.ndarray
    sy: np.ndarray
    height: np.ndarray


def face_bumps(person: Identity, left: Units, right: Units, jaw: np.ndarray, lips: Mouth) -> Bumps:
    """The bumps of a face: brow ridges, sockets, nose, cheeks, lips and chin."""
    rows: list[tuple] = []
    au = {name: 0.5 * (left[name] + right[name]) for name in left}
    for side, u in ((-1, left), (1, right)):
        squeeze = 0.6 * u["AU6"] + 0.5 * u["AU12"]
        up = 0.045 * u["AU9"] + 0.02 * u["AU10"]
        brow_y = person.brow_y - 0.09 * (u["AU1"] + u["AU2"]) + 0.07 * u["AU4"]
        rows += [
            (side * 0.36, brow_y + 0.04, 0.22, 0.07, 0.05 + 0.02 * u["AU4"]),
            (side * person.eye_x * 0.92, -0.04, 0.19, 0.10, -0.075),
            (side * person.eye_x, -0.005, 0.12, 0.085, 0.055),
            (side * 0.8 * person.nose_width, person.nose_length - 0.03 - up, 0.045, 0.05, 0.055),
            (side * 0.56, 0.34 - 0.09 * squeeze, 0.19, 0.15, 0.055 * person.cheek + 0.06 * squeeze),
            (side * 0.60, 0.68, 0.17, 0.2, -0.05 * (1.7 - person.cheek)),
            (side * 0.86, -0.36, 0.15, 0.25, -0.06),
            (side * 0.1, 0.16 - up, 0.06, 0.08, 0.02 * u["AU9"]),
        ]
    middle = lips.upper_outer.shape[1] // 2
    upper, lower = lips.upper_outer[:, middle, 1], lips.lower_outer[:, middle, 1]
    nose_up = 0.03 * au["AU9"]
    rows += [
        (0.0, 0.12, 0.085, 0.22, 0.125 * person.nose_relief),
        (0.0, person.nose_length - 0.06 - nose_up, 0.09, 0.08, 0.15 * person.nose_relief),
        (0.0, person.nose_length + 0.13, 0.03, 0.06, -0.014),
        (0.0, person.mouth_y - 0.02, 0.30, 0.17, 0.05),
        (0.0, upper + 0.035, 0.17, 0.03, 0.02),
        (0.0, lower - 0.05, 0.14, 0.035, 0.032),
        (0.0, lower + 0.075, 0.13, 0.04, -0.03 - 0.02 * au["AU17"]),
        (0.0, person.chin - 0.15 + jaw - 0.03 * au["AU17"], 0.15, 0.10, 0.07 + 0.03 * au["AU17"]),
        (0.0, -0.62, 0.48, 0.25, 0.06),
        (0.0, -0.19, 0.05, 0.08, 0.03 * au["AU4"]),
    ]
    frames = len(jaw)
    cx, cy, sx, sy, height = (
        np.stack([np.broadcast_to(row[i], frames) for row in rows], axis=1).astype(np.float32) for i in range(5)
    )
    return Bumps(cx, cy, sx[0], sy[0], height)


class Relief:
    """Shades the relief of one face on a grid of a canvas."""

    def __init__(self, canvas: Canvas, bumps: Bumps) -> None:
        self.x, self.y = canvas.grid()
        self.bumps = bumps
        depth = np.sqrt(np.maximum(1 - 0.9 * ((self.x / 1.06) ** 2 + (self.y[:, None] / 1.45) ** 2), 0.08))
        self._dome_x = (-0.72 * self.x / 1.06**2 / depth).astype(np.float32)
        self._dome_y = (-0.72 * self.y[:, None] / 1.45**2 / depth).astype(np.float32)

    def shade(self, frame: int, light: np.ndarray, ambient: float) -> np.ndarray:
        """Brightness of white skin, float32 [side, side]; `light` is a unit vector toward the light."""
        b = self.bumps
        dx = (self.x - b.cx[frame][:, None]) / b.sx[:, None]
        dy = (self.y - b.cy[frame][:, None]) / b.sy[:, None]
        gx = np.exp(-0.5 * dx * dx)
        gy = np.exp(-0.5 * dy * dy) * b.height[frame][:, None]
        slope_x = gy.T @ (gx * (-dx / b.sx[:, None])) + self._dome_x
        slope_y = (gy * (-dy / b.sy[:, None])).T @ gx + self._dome_y
        facing = light[2] - light[0] * slope_x - light[1] * slope_y
        facing /= np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
        return ambient + (1 - ambient) * np.maximum(facing, 0)
