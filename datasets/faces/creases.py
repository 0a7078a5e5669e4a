"""Folds and wrinkles: curves that darken the skin as strongly as action units press it together."""

from __future__ import annotations

import numpy as np

from datasets.faces.curves import spline
from datasets.faces.geometry import Eye, Mouth, Units
from datasets.faces.identity import Identity

Crease = tuple[np.ndarray, np.ndarray]
"""A curve [T, n, 2] and its strength in [0, 1], [T]."""


def _path(points: list[tuple], length: int) -> np.ndarray:
    """Spline through points given as (x, y) pairs of scalars or [T] arrays."""
    return spline(np.stack([np.stack([np.broadcast_to(v, length) for v in p], -1) for p in points], axis=1))


def brow_creases(person: Identity, au: Units) -> list[Crease]:
    """Forehead lines (AU 1, 2), frown lines (4) and lines across the root of the nose (9)."""
    n, old = len(au["AU1"]), 0.55 + 0.6 * person.age
    rise = 0.09 * (au["AU1"] + au["AU2"]) - 0.03 * au["AU4"]
    out: list[Crease] = []
    low, high = person.brow_y - 0.13 - rise, person.hairline + 0.02
    for share in (0.3, 0.72):
        y = low + share * (high - low)
        half = 0.34 + 0.12 * au["AU2"] - 0.06 * share
        strength = old * (0.26 * au["AU1"] + 0.26 * au["AU2"]) + 0.12 * person.age
        points = [(-half, y + 0.03), (-half / 2, y - 0.015), (0, y + 0.015), (half / 2, y - 0.015), (half, y + 0.03)]
        out.append((_path(points, n), np.clip(strength, 0, 0.5)))
    for side in (-1, 1):
        top, lean = person.brow_y - 0.10 + 0.04 * au["AU4"] - 0.07 * au["AU1"], 0.015 * au["AU4"]
        points = [(side * (0.075 - lean), top), (side * (0.062 - lean), top + 0.11), (side * 0.075, top + 0.2)]
        out.append((_path(points, n), np.clip(0.75 * au["AU4"] + 0.3 * au["AU9"], 0, 1)))
    for height, width in ((0.01, 0.085), (0.12, 0.1)):
        bridge = [(-width, height + 0.03), (0.0, height), (width, height + 0.03)]
        out.append((_path(bridge, n), np.clip(0.5 * au["AU9"], 0, 1)))
    return out


def eye_creases(person: Identity, au: Units, side: int, lids: Eye) -> list[Crease]:
    """The lid fold, the line under the eye, and crow's feet (AU 6)."""
    n = len(au["AU6"])
    squeeze = np.clip(0.5 * au["AU6"] + 0.3 * au["AU7"] + 0.3 * au["AU9"], 0, 0.8)
    out = [
        (lids.fold, np.full(n, 0.42) + 0.2 * au["AU5"]),
        (lids.bag, np.clip(0.1 + 0.25 * person.age + squeeze, 0, 0.85)),
    ]
    x0, y0 = person.eye_x + person.eye_width + 0.045, -person.eye_tilt
    for k, slope in enumerate((-0.55, 0.05, 0.6)):
        end = (side * (x0 + 0.13), y0 + 0.13 * slope - 0.02 * au["AU6"])
        strength = np.clip((0.4 + 0.6 * person.age) * (au["AU6"] + 0.25 * au["AU7"]) * (0.8 - 0.1 * k), 0, 0.7)
        out.append((_path([(side * x0, y0 + 0.05 * slope), (side * (x0 + 0.06), y0 + 0.07 * slope), end], n), strength))
    return out


def cheek_creases(person: Identity, au: Units, side: int, lips: Mouth) -> list[Crease]:
    """Nose wing, nasolabial fold (AU 6, 9, 10, 12), and lines at the mouth corner (12, 15, 20)."""
    n, w, y_nose = len(au["AU9"]), person.nose_width, person.nose_length
    up = 0.045 * au["AU9"] + 0.02 * au["AU10"]
    corner = lips.corners[:, 0 if side < 0 else 1]
    cx, cy = side * corner[:, 0], corner[:, 1]
    wing_x = w * (1.06 + 0.12 * au["AU9"] + 0.06 * au["AU12"])
    wing = [(side * (wing_x - 0.03), y_nose - 0.10 - up), (side * wing_x, y_nose - 0.035 - up),
            (side * (wing_x - 0.02), y_nose + 0.03 - up)]  # fmt: skip
    pull = 0.05 * au["AU12"] + 0.05 * au["AU10"] + 0.02 * au["AU6"]
    fold = [(side * (wing_x + 0.03), y_nose - 0.12 - 1.4 * up), (side * (wing_x + 0.11 + pull), y_nose + 0.02 - up),
            (side * (0.35 * wing_x + 0.65 * cx + 0.11 + pull), 0.45 * y_nose + 0.55 * cy - 0.035),
            (side * (cx + 0.075 + 0.3 * pull), cy - 0.01)]  # fmt: skip
    strength = 0.10 + 0.3 * person.age + 0.6 * au["AU12"] + 0.45 * au["AU10"] + 0.4 * au["AU9"] + 0.2 * au["AU20"]
    dimple = [(side * (cx + 0.015), cy - 0.04), (side * (cx + 0.03), cy), (side * (cx + 0.015), cy + 0.04)]
    down = [(side * (cx + 0.01), cy + 0.02), (side * (cx + 0.035), cy + 0.09), (side * (cx + 0.04), cy + 0.17)]
    return [
        (_path(wing, n), np.full(n, 0.55)),
        (_path(fold, n), np.clip(strength, 0, 1)),
        (_path(dimple, n), np.clip(0.25 + 0.2 * au["AU12"] + 0.3 * au["AU23"], 0, 0.8)),
        (_path(down, n), np.clip(0.15 * person.age + 0.7 * au["AU15"] + 0.3 * au["AU20"], 0, 0.9)),
    ]


def chin_creases(person: Identity, au: Units, jaw: np.ndarray, lips: Mouth) -> list[Crease]:
    """The groove under the lower lip, deeper when AU 17 pushes the chin up, and its dimples."""
    n = len(jaw)
    y = lips.lower_outer[:, lips.lower_outer.shape[1] // 2, 1] + 0.075 + 0.01 * au["AU17"]
    groove = [(-0.15, y + 0.03), (-0.07, y), (0.07, y), (0.15, y + 0.03)]
    out = [(_path(groove, n), np.clip(0.34 + 0.5 * au["AU17"] + 0.15 * au["AU23"], 0, 1))]
    for x in (-0.07, 0.07):
        y1 = person.chin - 0.2 + jaw
        out.append((_path([(x - 0.03, y1), (x, y1 + 0.035), (x + 0.03, y1 + 0.02)], n), 0.5 * au["AU17"]))
    return out
