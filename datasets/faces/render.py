"""Renders a face: paints, shades, turns and lights it, before a background."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np

from datasets.faces import layers
from datasets.faces.canvas import BODY_SPAN, Canvas
from datasets.faces.curves import smoothstep
from datasets.faces.identity import Identity
from datasets.faces.painting import Painter, features
from datasets.faces.pose import CENTRE, FACE_UNIT, Pose, Turner
from datasets.faces.relief import Relief

_AMBIENT = 0.4


@dataclass(frozen=True)
class Light:
    """Light over T frames, [T] each: exposure gain, side of the key light in [-1, 1], and a room's contrast.

    `contrast` is how much brighter (in powers of two) one side of the scene is than the other.
    """

    gain: np.ndarray
    side: np.ndarray
    contrast: np.ndarray


@dataclass(frozen=True)
class Scene:
    """All that moves, over T frames: action units [T, n], pose, light, background drift [T, 2] (fractions)."""

    units: np.ndarray
    asymmetry: np.ndarray
    pose: Pose
    light: Light
    drift: np.ndarray
    background_seed: int


class _Head:
    """The head of a person over a scene: paints it upright and shades it."""

    def __init__(self, person: Identity, scene: Scene, canvas: Canvas) -> None:
        half = Canvas(canvas.side // 2)
        self._parts = features(person, scene.units, scene.asymmetry, canvas, half)
        self._painter = Painter(person, self._parts, canvas, half)
        self._relief = Relief(half, self._parts.bumps)
        self._scene, self._canvas = scene, canvas
        self._skin = layers.skin_layer(person, canvas)
        self._behind, self._front = layers.behind_layer(person, canvas), layers.front_layer(person, canvas)
        self._out = np.zeros((canvas.side, canvas.side, 2), np.float32)
        self._x, self._y = np.meshgrid(*(np.arange(canvas.side, dtype=np.float32),) * 2)
        # How far the skin at each height follows the jaw, in pixels for a drop of 1.
        self._follow = (canvas.unit * smoothstep(canvas.grid()[1], 0.25, 1.0)).astype(np.float32)[:, None]

    def picture(self, frame: int) -> np.ndarray:
        """Tone times coverage, and coverage: float32 [side, side, 2]; valid until the next call."""
        moved = self._y - self._follow * np.float32(self._parts.jaw[frame])
        image = cv2.remap(self._skin, self._x, moved, cv2.INTER_LINEAR)
        self._painter.paint(frame, image)
        light = self._scene.pose.rotation(frame).T @ _key(self._scene.light.side[frame])
        shade, folds = (
            self._enlarge(v) for v in (self._relief.shade(frame, light, _AMBIENT), self._painter.folds(frame))
        )
        behind, front = self._behind, self._front
        mask = self._painter.head_mask(frame)
        _compose(self._out, image, mask, behind.tone, behind.cover, front.tone, front.cover, shade, folds)
        return self._out

    def _enlarge(self, image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, (self._canvas.side, self._canvas.side), interpolation=cv2.INTER_LINEAR)


def render(person: Identity, scene: Scene, size: int) -> np.ndarray:
    """Frames uint8 [T, size, size] of a person in a scene."""
    side = 2 * round(0.75 * size)
    canvas, trunk = Canvas(side), Canvas(side, BODY_SPAN)
    head, turner = _Head(person, scene, canvas), Turner(canvas, size, person.nose_relief)
    body = layers.body_layer(person, trunk)
    torso = np.dstack([body.tone * body.cover, body.cover])
    room = layers.background(scene.background_seed, side)
    across = np.linspace(-1, 1, size, dtype=np.float32)
    frames = np.empty((len(scene.units), size, size), np.uint8)
    for f, frame in enumerate(frames):
        trunk_map, room_map = _torso_map(scene.pose, f, trunk, size), _room_map(scene.drift[f], side, size)
        body_now = cv2.warpAffine(torso, trunk_map, (size, size), flags=cv2.INTER_LINEAR)
        room_now = cv2.warpAffine(room, room_map, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        exposure = np.float32(scene.light.gain[f]) * np.exp2(np.float32(0.5 * scene.light.contrast[f]) * across)
        _expose(frame, head.picture(f), *turner.maps(scene.pose, f), body_now, room_now, exposure)
    return frames


def _key(side: float) -> np.ndarray:
    """Unit vector toward the key light: above, before the face, to one side."""
    v = np.array([0.75 * side, -0.50, 0.78])
    return v / np.linalg.norm(v)


def _torso_map(pose: Pose, frame: int, trunk: Canvas, size: int) -> np.ndarray:
    """Affine map [2, 3] of the torso's canvas into the picture: it follows part of the head's shift and tilt."""
    unit = FACE_UNIT * size * (1 + 0.7 * (pose.scale[frame] - 1)) / trunk.unit
    angle = 0.15 * pose.roll[frame]
    c, s = unit * np.cos(angle), unit * np.sin(angle)
    middle = (trunk.side - 1) / 2
    x = (CENTRE[0] + 0.6 * pose.x[frame]) * size - 0.5
    y = (CENTRE[1] + 0.6 * pose.y[frame]) * size - 0.5
    return np.array([[c, -s, x - c * middle + s * middle], [s, c, y - s * middle - c * middle]])


def _room_map(shift: np.ndarray, side: int, size: int) -> np.ndarray:
    """Affine map [2, 3] of the background into the picture, enlarged a little so that it may drift."""
    scale = 1.15 * size / side
    return np.array([[scale, 0, (shift[0] - 0.075) * size], [0, scale, (shift[1] - 0.075) * size]])


@numba.njit(cache=True, fastmath=True)
def _compose(  # type: ignore[no-untyped-def]
    out, image, mask, behind_tone, behind_cover, front_tone, front_cover, shade, folds
):
    """Stack ears, folded skin and hair; shade them; store tone times coverage, and coverage."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            a = mask[i, j]
            b, f = behind_cover[i, j], front_cover[i, j]
            under = behind_tone[i, j] * b
            tone = under * (1 - a) + image[i, j] * folds[i, j] * a
            cover = b + a - a * b
            tone = tone * (1 - f) + front_tone[i, j] * f
            cover = cover + f - cover * f
            out[i, j, 0] = tone * shade[i, j]
            out[i, j, 1] = cover


@numba.njit(cache=True, fastmath=True)
def _expose(frame, head, map_x, map_y, torso, room, exposure):  # type: ignore[no-untyped-def]
    """Put the head, looked up at the maps, before torso and background; expose and round to uint8.

    The look-up is exactly bilinear; OpenCV's goes in steps of 1/32 pixel.
    """
    last = head.shape[0] - 1
    for i in range(frame.shape[0]):
        for j in range(frame.shape[1]):
            v = room[i, j] * (1 - torso[i, j, 1]) + torso[i, j, 0]
            x, y = map_x[i, j], map_y[i, j]
            if 0 <= x < last and 0 <= y < last:
                column, row = int(x), int(y)
                u, w = x - column, y - row
                a, b, c, d = (1 - u) * (1 - w), u * (1 - w), (1 - u) * w, u * w
                upper, lower = head[row], head[row + 1]
                tone = a * upper[column, 0] + b * upper[column + 1, 0] + c * lower[column, 0] + d * lower[column + 1, 0]
                cover = (
                    a * upper[column, 1] + b * upper[column + 1, 1] + c * lower[column, 1] + d * lower[column + 1, 1]
                )
                v = v * (1 - cover) + tone
            frame[i, j] = np.uint8(min(255.0, v * exposure[j] + 0.5))
