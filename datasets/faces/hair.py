"""The shapes of hair, ears and glasses of an identity, in face units; they are fixed to the skull."""

from __future__ import annotations

import numpy as np

from datasets.faces.curves import spline
from datasets.faces.identity import Identity

_COVERS_EARS = ("bob", "long")


def _mirror(right: list[tuple[float, float]]) -> np.ndarray:
    points = np.array(right, float)
    return np.concatenate([points, points[-2::-1] * [-1, 1]])


def front_hair(p: Identity) -> list[np.ndarray]:
    """Closed outlines of the hair in front of the head, largest last; empty for a bald head."""
    if p.hair_style == "bald":
        return []
    outer, inner = spline(_top(p)), spline(_hairline(p))
    if p.hair_style == "curly":
        outer, inner = _scallop(outer, 0.075 * p.volume, 17, p.seed), _scallop(inner, 0.035, 13, p.seed + 1)
    elif p.hair_style == "fringe":
        inner = _scallop(inner, 0.03, 15, p.seed)
    shapes = [np.concatenate([outer, inner[::-1]])]
    if p.hair_style == "bun":
        angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        shapes.insert(0, np.stack([0.34 * np.cos(angle), -1.45 + 0.27 * np.sin(angle)], axis=-1))
    return shapes


_THICKNESS = {
    "buzz": 0.03, "short": 0.09, "parted": 0.12, "fringe": 0.12, "curly": 0.2, "bun": 0.05, "bob": 0.13, "long": 0.13,
}  # fmt: skip


def _top(p: Identity) -> np.ndarray:
    """Outer edge of the hair, from the right side over the crown to the left."""
    w, v = p.head_width, _THICKNESS[p.hair_style] * p.volume
    crown = [(0.79 * w + 0.8 * v, -1.08 - 0.4 * v), (0.43 * w, -1.29 - v), (0.0, -1.33 - v)]
    if p.hair_style in _COVERS_EARS:
        end, flare = (0.86, 0.22) if p.hair_style == "bob" else (1.5, 0.16)
        fall = [(0.80 * w, end), (0.98 * w + 0.8 * flare, end - 0.06), (w + flare, 0.45), (w + 0.13, -0.2)]
        return _mirror([*fall, (w + 0.7 * v, -0.72), *crown])
    return _mirror([(w + 0.015, 0.02), (w + 0.02 + 0.4 * v, -0.30), (w + 0.6 * v, -0.72), *crown])


def _hairline(p: Identity) -> np.ndarray:
    """Inner edge of the hair, from the right side over the forehead to the left."""
    w, h, flip = p.head_width, p.hairline, 1 if p.seed % 2 else -1
    sideburn = [(w - 0.045, 0.02), (0.90 * w, -0.28)]
    if p.hair_style == "fringe":
        low = p.brow_y - 0.14
        return _mirror([*sideburn, (0.80 * w, low + 0.03), (0.45 * w, low), (0.2 * w, low + 0.015), (0.0, low - 0.01)])
    if p.hair_style == "parted":
        swept = [(0.83 * w, -0.52), (0.60 * w, h + 0.20), (0.1, h + 0.03), (-0.32, h - 0.16), (-0.62 * w, h + 0.10)]
        line = np.array([*sideburn, *swept, (-0.84 * w, -0.55), *((-x, y) for x, y in sideburn[::-1])])
        return line if flip > 0 else line[::-1] * [-1, 1]
    if p.hair_style in _COVERS_EARS:
        end, part = 0.86 if p.hair_style == "bob" else 1.5, 0.18 * w * flip
        side = np.array([(0.70 * w, end), (0.80 * w, 0.55), (0.87 * w, 0.1), (0.86 * w, -0.35), (0.66 * w, -0.68)])
        brow = [(0.34 * w + part, h), (part, h - 0.14), (-0.34 * w + part, h)]
        return np.concatenate([side, brow, side[::-1] * [-1, 1]])
    return _mirror([*sideburn, (0.84 * w, -0.55), (0.68 * w, h + 0.06), (0.36 * w, h - 0.04), (0.0, h)])


def _scallop(curve: np.ndarray, size: float, waves: int, seed: int) -> np.ndarray:
    """Push an open curve in and out along its normal, irregularly, for curls."""
    t = np.linspace(0, 1, len(curve) * 4)
    x, y = (np.interp(t, np.linspace(0, 1, len(curve)), curve[:, i]) for i in (0, 1))
    dx, dy = np.gradient(x), np.gradient(y)
    length = np.hypot(dx, dy)
    phase = np.cumsum(  # curls of unequal width
        np.repeat(np.random.default_rng([seed, 7]).uniform(0.4, 1.6, -(-len(t) // 8)), 8)[: len(t)]
    )
    push = size * np.abs(np.sin(np.pi * waves * phase / phase[-1])) - size / 2
    return np.stack([x - push * dy / length, y + push * dx / length], axis=-1)


def back_hair(p: Identity) -> np.ndarray | None:
    """Outline of the hair behind the neck, if there is any."""
    if p.hair_style not in _COVERS_EARS:
        return None
    end = 0.82 if p.hair_style == "bob" else 1.46
    return np.array([(-0.95, -0.4), (0.95, -0.4), (0.98, end), (-0.98, end)]) * [p.head_width, 1]


def ears(p: Identity) -> list[tuple[np.ndarray, float]]:
    """Outlines of ears with the factor on the skin's tone: outer ear, then the hollow."""
    if p.hair_style in _COVERS_EARS:
        return []
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    out = []
    for scale, tone in ((1.0, 0.92), (0.55, 0.62)):
        for side in (-1, 1):
            x = p.head_width + 0.035 + 0.115 * p.ear * scale * np.cos(angle) + 0.03 * np.sin(angle) * -1
            y = 0.06 + 0.23 * p.ear * scale * np.sin(angle) * (1 - 0.15 * np.cos(angle))
            out.append((np.stack([side * x, y], axis=-1), tone))
    return out


def glasses(p: Identity) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Closed rims and open lines (bridge and temples)."""
    if p.glasses == "none":
        return [], []
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    power = 1.0 if p.glasses == "round" else 0.5
    cos, sin = np.cos(angle), np.sin(angle)
    rx, ry = (0.27, 0.25) if p.glasses == "round" else (0.30, 0.20)
    shape = np.stack([rx * np.sign(cos) * np.abs(cos) ** power, ry * np.sign(sin) * np.abs(sin) ** power], axis=-1)
    rims = [shape + np.array([side * (p.eye_x + 0.01), 0.035]) for side in (-1, 1)]
    inner = p.eye_x + 0.01 - rx
    lines = [spline(np.array([(-inner, 0.0), (0.0, -0.045), (inner, 0.0)]))]
    lines += [np.array([(side * (p.eye_x + rx), -0.03), (side * (p.head_width + 0.03), -0.05)]) for side in (-1, 1)]
    return rims, lines
