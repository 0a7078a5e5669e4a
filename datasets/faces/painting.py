"""Paints the moving parts of a face on its canvas: skin, brows, eyes, nose, mouth and folds."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from datasets.faces import creases, geometry
from datasets.faces.action_units import AU_INDEX, AU_NAMES
from datasets.faces.canvas import Canvas
from datasets.faces.identity import Identity
from datasets.faces.raster import disc, fill, fill_inside, stroke
from datasets.faces.relief import Bumps, face_bumps

_GROUPS = (
    ("AU1", "AU2", "AU4"),
    ("AU5", "AU6", "AU7"),
    ("AU9", "AU10"),
    ("AU12", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26"),
)  # the four groups of Identity.gain


@dataclass(frozen=True)
class Features:
    """All curves of a clip in canvas pixels, and its relief."""

    head: np.ndarray
    brows: tuple[np.ndarray, np.ndarray]
    eyes: tuple[geometry.Eye, geometry.Eye]
    nostrils: tuple[np.ndarray, np.ndarray]
    mouth: geometry.Mouth
    creases: list[creases.Crease]
    bumps: Bumps
    jaw: np.ndarray


def features(person: Identity, units: np.ndarray, asymmetry: np.ndarray, canvas: Canvas, half: Canvas) -> Features:
    """Geometry of a clip from its action units [T, len(AU_NAMES)].

    `asymmetry` [len(AU_NAMES)] makes the image-left half of the face show (1 + a) and the other (1 - a)
    times each unit. Creases are in pixels of the half-size canvas `half`.
    """
    gains = np.ones(len(AU_NAMES))
    for names, gain in zip(_GROUPS, person.gain, strict=True):
        gains[[AU_INDEX[name] for name in names]] = gain
    left, right = (
        {name: units[:, i] * gains[i] * (1 + s * asymmetry[i]) for i, name in enumerate(AU_NAMES)} for s in (1, -1)
    )
    both = {name: 0.5 * (left[name] + right[name]) for name in AU_NAMES}
    jaw = geometry.jaw_drop(both)
    lips = geometry.mouth(person, left, right)
    eyes = geometry.eye(person, left, -1), geometry.eye(person, right, 1)
    folds = creases.brow_creases(person, both) + creases.chin_creases(person, both, jaw, lips)
    for side, au, lids in ((-1, left, eyes[0]), (1, right, eyes[1])):
        folds += creases.eye_creases(person, au, side, lids) + creases.cheek_creases(person, au, side, lips)
    return Features(
        head=canvas.pixels(geometry.head_outline(person, both)),
        brows=(canvas.pixels(geometry.brow(person, left, -1)), canvas.pixels(geometry.brow(person, right, 1))),
        eyes=(_eye_pixels(eyes[0], canvas), _eye_pixels(eyes[1], canvas)),
        nostrils=(canvas.pixels(geometry.nostril(person, left, -1)), canvas.pixels(geometry.nostril(person, right, 1))),
        mouth=_mouth_pixels(lips, canvas),
        creases=[(half.pixels(curve), strength) for curve, strength in folds],
        bumps=face_bumps(person, left, right, jaw, lips),
        jaw=jaw,
    )


def _eye_pixels(e: geometry.Eye, canvas: Canvas) -> geometry.Eye:
    return geometry.Eye(*(canvas.pixels(v) for v in (e.upper, e.lower, e.fold, e.bag, e.iris)))


def _mouth_pixels(m: geometry.Mouth, canvas: Canvas) -> geometry.Mouth:
    return geometry.Mouth(
        *(canvas.pixels(v) for v in (m.upper_outer, m.upper_inner, m.lower_inner, m.lower_outer, m.teeth, m.corners))
    )


class Painter:
    """Paints one frame after another of a clip's features; tones are in [0, 255]."""

    def __init__(self, person: Identity, parts: Features, canvas: Canvas, half: Canvas) -> None:
        self.person, self.parts, self.canvas, self.half = person, parts, canvas, half
        skin = 255 * person.skin
        self._lip, self._line = skin * person.lip_tone, 0.42 * skin
        self._brow = 255 * min(0.8 * person.hair + 0.04, 0.45 * person.skin + 0.05)
        self._lash = 255 * (0.30 * person.skin * (1.25 - 0.8 * person.lash) + 0.02)
        self._pen = 0.028 * canvas.unit
        self._lash_pen = (0.036 + 0.016 * person.lash) * canvas.unit

    def paint(self, frame: int, image: np.ndarray) -> None:
        """Draw brows, eyes, nostrils and mouth over the skin in `image`, float32 of the canvas's size."""
        for outline in self.parts.brows:
            fill(image, outline[frame], self._brow)
        for e in self.parts.eyes:
            self._eye(frame, image, e)
        for outline in self.parts.nostrils:
            fill(image, outline[frame], 0.6 * self._line)
        self._mouth(frame, image)

    def head_mask(self, frame: int) -> np.ndarray:
        """Coverage of the outline of the skin, float32."""
        mask = self.canvas.empty()
        fill(mask, self.parts.head[frame], 1.0)
        return mask

    def folds(self, frame: int) -> np.ndarray:
        """Darkening by folds as a factor around 1, float32 [half, half]: dark groove, lighter rim below."""
        groove = self.half.empty()
        pen = 0.037 * self.half.unit
        for curve, strength in self.parts.creases:
            if strength[frame] > 0.002:
                stroke(groove, curve[frame], pen, 1.0, strength[frame])
        soft = cv2.GaussianBlur(groove, (0, 0), 0.033 * self.half.unit)
        below = np.array([[1, 0, 0], [0, 1, 0.075 * self.half.unit]])
        rim = cv2.warpAffine(soft, below, soft.shape[::-1])
        return np.maximum(1 - 1.05 * soft + 0.25 * rim, 0.2)

    def _eye(self, frame: int, image: np.ndarray, e: geometry.Eye) -> None:
        upper, lower, iris = e.upper[frame], e.lower[frame], e.iris[frame]
        outline = np.concatenate([upper, lower[::-1]])
        radius = 0.093 * self.canvas.unit
        fill(image, outline, 255 * 0.86)
        for scale, tone in ((1.0, 115 * self.person.iris), (0.84, 255 * self.person.iris), (0.45, 6.0)):
            fill_inside(image, disc(iris, scale * radius), tone, outline)
        fill_inside(image, disc(iris - np.array([0.35, 0.38]) * radius, 0.2 * radius), 255.0, outline)
        shadow = np.concatenate([upper, upper[::-1] + np.array([0, 0.7 * self._pen], np.float32)])
        fill_inside(image, shadow, 90.0, outline)  # of the upper lid on the eyeball
        stroke(image, lower, 0.75 * self._pen, 1.2 * self._line)
        stroke(image, upper, self._lash_pen, self._lash)

    def _mouth(self, frame: int, image: np.ndarray) -> None:
        m = self.parts.mouth
        upper, lower, teeth = m.upper_inner[frame], m.lower_inner[frame], m.teeth[frame]
        fill(image, np.concatenate([m.upper_outer[frame], upper[::-1]]), 0.85 * self._lip)
        fill(image, np.concatenate([lower, m.lower_outer[frame][::-1]]), 0.98 * self._lip)
        gap = np.concatenate([upper, lower[::-1]])
        tongue = lower[len(lower) // 2] + np.array([0, 0.05], np.float32) * self.canvas.unit
        above = upper - np.array([0, 0.2], np.float32) * self.canvas.unit
        fill(image, gap, 22.0)
        fill_inside(image, disc(tongue, 0.12 * self.canvas.unit), 0.62 * self._lip, gap)
        fill_inside(image, np.concatenate([above, np.maximum(teeth, above)[::-1]]), 250.0, gap)
        lip_shadow = np.concatenate([lower, lower[::-1] - np.array([0, 0.5 * self._pen], np.float32)])
        fill_inside(image, lip_shadow, 60.0, gap)
        stroke(image, upper, 0.9 * self._pen, 0.7 * self._line)
