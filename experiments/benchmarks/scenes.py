"""Moving scenes whose every moment is known: what a simulator's sub-frames are measured against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from datasets.faces import ClipSpec, render_clip
from datasets.video import Frame

SIZE = 128
"""Pixels across a scene."""

TRUTH_FPS = 2000
"""Frames a second of the truth: no texture moves by more than 0.1 pixel between two of them."""

FINER = 3
"""Scenes are drawn this many times finer and averaged, as a pixel's area does."""

_SIDE = SIZE * FINER
_AT = _SIDE / 2


@dataclass(frozen=True)
class Scene:
    """A scene: `at(seconds)` gives its frame, uint8 [SIZE, SIZE], for times of the truth from 0 to `seconds`.

    fps: frames a second of the video that is taken of it, with an exposure too short to blur them.
    """

    name: str
    seconds: float
    fps: float
    at: Callable[[float], np.ndarray]

    def frames(self, fps: float) -> Iterator[Frame]:
        """What a camera of so many frames a second takes."""
        for number in range(round(self.seconds * fps) + 1):
            yield self.at(number / fps), round(number * 1e6 / fps)


def textures() -> list[Scene]:
    """A texture that moves (also in the dark), turns and comes nearer; a disc that covers and uncovers one."""
    texture, other = _texture(1), _texture(2)
    return [
        Scene("translation", 0.24, 25, lambda s: _seen(texture, _moved(120 * s, 45 * s))),
        Scene("translation in the dark", 0.24, 25, lambda s: _seen(_dark(texture), _moved(120 * s, 45 * s))),
        Scene("rotation", 0.24, 25, lambda s: _seen(texture, _turned(1.8 * s))),
        Scene("expansion", 0.24, 25, lambda s: _seen(texture, _turned(0, np.exp(1.8 * s)))),
        Scene("occlusion", 0.24, 25, lambda s: _covered(texture, other, -18 + 160 * s, 8 - 60 * s)),
    ]


def faces() -> list[Scene]:
    """An embedded face that speaks and blinks, filmed at a common rate and at half of it."""
    clip = render_clip(ClipSpec(identity=3, seed=4, seconds=1.0, fps=TRUTH_FPS, size=SIZE))

    def at(seconds: float) -> np.ndarray:
        return clip.frames[round(seconds * TRUTH_FPS)]

    return [Scene("face, 25 frames/s", 0.96, 25, at), Scene("face, 12.5 frames/s", 0.96, 12.5, at)]


def _texture(seed: int) -> np.ndarray:
    """Grey values 20 to 235 with detail from 2 pixels up to 16, float32 [3 _SIDE, 3 _SIDE]."""
    random = np.random.default_rng(seed)
    total = np.zeros((3 * _SIDE, 3 * _SIDE), np.float32)
    for scale in (2, 4, 8, 16):
        noise = cv2.GaussianBlur(random.standard_normal(total.shape).astype(np.float32), (0, 0), scale / 2 * FINER)
        total += noise / noise.std() * np.sqrt(scale)
    low, high = np.quantile(total, (0.02, 0.98))
    return np.clip(20 + 215 * (total - low) / (high - low), 20, 235)


def _dark(texture: np.ndarray) -> np.ndarray:
    return 1 + (texture - 20) * (19 / 215)


def _moved(x: float, y: float) -> np.ndarray:
    """The affine map from a view's pixels to those of the texture: the scene goes by (x, y) pixels of the sensor."""
    return np.array([[1, 0, _SIDE - x * FINER], [0, 1, _SIDE - y * FINER]], np.float64)


def _turned(angle: float, scale: float = 1.0) -> np.ndarray:
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    linear = np.array([[cosine, sine], [-sine, cosine]])
    middle = np.array([_AT, _AT])
    return np.column_stack([linear, _SIDE + middle - linear @ middle])


def _view(texture: np.ndarray, to_texture: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(texture, to_texture, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _seen(texture: np.ndarray, to_texture: np.ndarray) -> np.ndarray:
    return _on_sensor(_view(texture, to_texture))


def _covered(background: np.ndarray, disc: np.ndarray, x: float, y: float) -> np.ndarray:
    """A textured disc, a quarter of the view in radius, (x, y) pixels off the middle of a background at rest."""
    rows, columns = np.indices((_SIDE, _SIDE), np.float32)
    away = np.hypot(columns - _AT - x * FINER, rows - _AT - y * FINER)
    inside = np.clip(_SIDE / 4 - away + 0.5, 0, 1).astype(np.float32)
    front = _view(disc, _moved(x, y))
    return _on_sensor(inside * front + (1 - inside) * _view(background, _moved(0, 0)))


def _on_sensor(view: np.ndarray) -> np.ndarray:
    pixels = cv2.resize(view, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.rint(pixels).astype(np.uint8)
