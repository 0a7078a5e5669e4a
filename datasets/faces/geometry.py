"""Where the features of a face are, for an identity and its action units, in face units.

Every function takes `au`, a mapping from action-unit name to intensities [T], and gives curves
[T, n, 2] (x, y). How far a unit moves a feature is set by eye after the pictures of the FACS manual
(Ekman & Friesen 1978): at full intensity brows travel about 0.15, mouth corners about 0.15 and the
jaw about 0.25 of half a head width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from datasets.faces.curves import smoothstep, spline
from datasets.faces.identity import Identity

Units = Mapping[str, np.ndarray]


def _stack(x: np.ndarray | list, y: np.ndarray | list) -> np.ndarray:
    """[T, n, 2] from x and y, each broadcastable to [T, n] (or a list of [T] columns)."""
    columns = [np.stack(np.broadcast_arrays(*v), axis=-1) if isinstance(v, list) else v for v in (x, y)]
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def jaw_drop(au: Units) -> np.ndarray:
    """How far the chin moves down, [T]."""
    return 0.21 * au["AU26"] + 0.02 * au["AU25"] - 0.015 * au["AU17"]


def head_outline(person: Identity, au: Units) -> np.ndarray:
    """Closed outline of the skin, from the crown clockwise; the lower part follows the jaw."""
    w, j, c = person.head_width, person.head_width * person.jaw, person.chin_width
    right = np.array([
        [0, -1.30], [0.42 * w, -1.235], [0.76 * w, -0.99], [0.94 * w, -0.58], [0.985 * w, -0.12],
        [0.96 * w, 0.30], [j, 0.70], [0.5 * (j + c) + 0.03, 1.00], [c, person.chin - 0.06], [0, person.chin],
    ])  # fmt: skip
    outline = np.concatenate([right, right[-2:0:-1] * [-1, 1]])
    moved = np.repeat(outline[None], len(au["AU26"]), 0)
    moved[..., 1] += jaw_drop(au)[:, None] * smoothstep(outline[:, 1], 0.25, 1.0)
    return spline(moved, closed=True)


def brow(person: Identity, au: Units, side: int) -> np.ndarray:
    """Closed outline of one eyebrow; side is -1 (image left) or 1."""
    t = np.linspace(0, 1, 6)
    rest_y = person.brow_y - person.brow_arch * np.sin(np.pi * t**1.3) + person.brow_tilt * (0.5 - t)
    inner, outer = (1 - t) ** 1.3, np.sin(np.pi * np.clip(0.25 + 0.55 * t, 0, 1)) * t**0.7
    a = {name: au[name][:, None] for name in ("AU1", "AU2", "AU4", "AU6", "AU9")}
    y = rest_y - 0.205 * a["AU1"] * inner - 0.18 * a["AU2"] * outer
    y = y + a["AU4"] * (0.125 * inner * (1 - 0.55 * a["AU1"]) + 0.05) + 0.07 * a["AU9"] * inner + 0.03 * a["AU6"] * t
    x = 0.165 + 2 * person.brow_length * t - (0.065 * a["AU4"] + 0.03 * a["AU9"]) * inner
    half = person.brow_thickness * np.array([0.5, 1.1, 1.15, 0.95, 0.65, 0.12])
    upper = spline(_stack(side * x, y - half))
    lower = spline(_stack(side * x, y + 0.8 * half))
    return np.concatenate([upper, lower[:, ::-1]], axis=1)


@dataclass(frozen=True)
class Eye:
    """Curves of one eye, inner corner first: both lids, the fold above, and the iris."""

    upper: np.ndarray
    lower: np.ndarray
    fold: np.ndarray
    bag: np.ndarray
    iris: np.ndarray
    """Centre of the iris [T, 2]."""


def eye(person: Identity, au: Units, side: int) -> Eye:
    """One eye; lids close with AU 43 and 45, open with 5, narrow with 6, 7 and 9."""
    t = np.linspace(0, 1, 9)
    closed = 1 - (1 - au["AU43"]) * (1 - au["AU45"])
    top = person.eye_open * 1.2 * np.maximum(1 + 0.75 * au["AU5"] - 0.3 * au["AU7"] - 0.12 * au["AU6"], 0.3)
    low = (
        person.eye_open
        * 0.8
        * np.maximum(1 + 0.2 * au["AU5"] - 0.6 * au["AU7"] - 0.65 * au["AU6"] - 0.5 * au["AU9"] - 0.1 * au["AU12"], 0.1)
    )
    lid = -top * (1 - closed) + 0.8 * low * closed
    bulge_top, bulge_low = np.sin(np.pi * t**0.92) ** 0.75, np.sin(np.pi * t**1.15) ** 0.85
    x = side * (person.eye_x + person.eye_width * (2 * t - 1))[None]
    corners = (0.018 * (1 - t) - person.eye_tilt * t)[None]
    upper = spline(_stack(x, corners + lid[:, None] * bulge_top))
    lower = spline(_stack(x, corners + low[:, None] * bulge_low))
    fold_y = -0.055 - 0.3 * top + 0.35 * lid - 0.4 * person.eye_open
    fold = spline(_stack(x, corners + fold_y[:, None] * bulge_top**0.8))
    bag = spline(_stack(x * 0.99, corners + (low + 0.06 - 0.02 * au["AU6"])[:, None] * bulge_low))
    iris = np.stack([side * person.eye_x + 0.07 * au["gaze_x"], -0.012 + 0.045 * au["gaze_y"]], axis=-1)
    return Eye(upper, lower, fold, bag, iris)


@dataclass(frozen=True)
class Mouth:
    """Curves of the mouth from image left to right: outer and inner edges of both lips, teeth edge."""

    upper_outer: np.ndarray
    upper_inner: np.ndarray
    lower_inner: np.ndarray
    lower_outer: np.ndarray
    teeth: np.ndarray
    corners: np.ndarray
    """Left and right corner [T, 2, 2]."""


def mouth(person: Identity, left: Units, right: Units) -> Mouth:
    """The mouth; `left` and `right` are the units of the two halves of the face."""
    t = np.linspace(-1, 1, 9)
    r = np.abs(t)
    au = {name: 0.5 * (left[name] + right[name]) for name in left}
    jaw = jaw_drop(au)
    corner = np.stack([_corner(person, left, -1, jaw), _corner(person, right, 1, jaw)], axis=1)
    side = np.where(t < 0, 0, 1)
    x = np.abs(t) ** 0.9 * corner[:, side, 0]
    corner_y = corner[:, side, 1]
    y0 = person.mouth_y
    lift = 0.055 * au["AU10"] + 0.03 * au["AU9"] + 0.03 * au["AU12"] + 0.035 * au["AU17"]
    top = y0 - lift - 0.02 * au["AU25"] + 0.012 * au["AU23"]
    gap = (0.075 + 0.05 * au["AU12"]) * au["AU25"] + 0.24 * au["AU26"] * smoothstep(au["AU25"] + au["AU26"], 0.05, 0.5)
    bottom = top + 0.6 * (lift - 0.035 * au["AU17"] - 0.01 * au["AU12"]) * smoothstep(gap, 0, 0.05) + gap
    snarl = 0.045 * np.maximum(au["AU10"], 0.8 * au["AU9"])[:, None] * np.sin(np.pi * r) ** 2
    upper_in = top[:, None] + (corner_y - top[:, None]) * r**1.9 - snarl
    lower_in = bottom[:, None] + (corner_y - bottom[:, None]) * r**3.2
    press = 1 - 0.6 * au["AU23"]
    thick_up = 0.062 * person.lips * (press - 0.25 * au["AU12"] - 0.15 * au["AU25"])
    thick_low = 0.088 * person.lips * (press - 0.15 * au["AU12"] + 0.12 * au["AU17"])
    bow = np.interp(r, [0, 0.25, 0.6, 1], [0.78, 1.05, 0.66, 0.0])
    belly = np.interp(r, [0, 0.25, 0.55, 0.8, 1], [1.0, 1.0, 0.72, 0.32, 0.0])
    return Mouth(
        upper_outer=spline(_stack(x, upper_in - np.maximum(thick_up, 0.015)[:, None] * bow)),
        upper_inner=spline(_stack(x, upper_in)),
        lower_inner=spline(_stack(x, np.maximum(lower_in, upper_in))),
        lower_outer=spline(_stack(x, np.maximum(lower_in, upper_in) + np.maximum(thick_low, 0.02)[:, None] * belly)),
        teeth=spline(_stack(x, y0 + 0.07 - 0.07 * r**2 * (1 + au["AU12"][:, None]))),
        corners=corner,
    )


def _corner(person: Identity, au: Units, side: int, jaw: np.ndarray) -> np.ndarray:
    x = person.mouth_width + 0.115 * au["AU12"] + 0.12 * au["AU20"] - 0.06 * au["AU23"] - 0.045 * au["AU17"]
    x = x - 0.07 * jaw / 0.21 * (1 - 0.6 * au["AU12"]) + 0.02 * au["AU15"]
    y = person.mouth_y - 0.15 * au["AU12"] + 0.105 * au["AU15"] + 0.045 * au["AU20"] - 0.015 * au["AU10"]
    return np.stack([side * x, y + 0.45 * jaw], axis=-1)


def nostril(person: Identity, au: Units, side: int) -> np.ndarray:
    """Closed outline of one nostril."""
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    up = 0.045 * au["AU9"] + 0.02 * au["AU10"]
    flare = 1 + 0.3 * au["AU9"]
    x = side * (0.52 * person.nose_width * flare[:, None] + 0.24 * person.nose_width * np.cos(angle))
    y = person.nose_length + 0.015 - up[:, None] + 0.020 * np.sin(angle) - 0.010 * np.cos(angle)
    return _stack(x, y)
