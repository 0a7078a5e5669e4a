"""The parts of a picture that do not change their shape: skin, hair and glasses, body, background."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from datasets.faces.canvas import Canvas
from datasets.faces.curves import smoothstep, spline
from datasets.faces.hair import back_hair, ears, front_hair, glasses
from datasets.faces.identity import Identity
from datasets.faces.raster import fill, stroke


@dataclass(frozen=True)
class Layer:
    """Tone in [0, 255] and coverage in [0, 1], float32 [side, side]."""

    tone: np.ndarray
    cover: np.ndarray


def noise(rng: np.random.Generator, side: int, scale: float) -> np.ndarray:
    """Smooth noise of unit deviation; `scale` is its blur in pixels."""
    field = cv2.GaussianBlur(rng.standard_normal((side, side)).astype(np.float32), (0, 0), scale)
    return field / max(float(field.std()), 1e-6)


def skin_layer(person: Identity, canvas: Canvas) -> np.ndarray:
    """Skin over the whole canvas, float32 in [0, 255]: tone, texture, freckles, redness, stubble or beard."""
    rng = np.random.default_rng([person.seed, 2])
    x, y = np.meshgrid(*canvas.grid())
    unit = canvas.unit
    tone: np.ndarray = 1 + 0.022 * noise(rng, canvas.side, 0.022 * unit) + 0.03 * noise(rng, canvas.side, 0.1 * unit)
    spots = np.maximum(noise(rng, canvas.side, 0.017 * unit) - 1.6, 0)
    tone -= 0.20 * person.freckles * spots * np.exp(-((np.abs(x) - 0.35) ** 2) / 0.15 - (y - 0.3) ** 2 / 0.1)
    tone -= 0.05 * np.exp(-((np.abs(x) - 0.56) ** 2 + (y - 0.34) ** 2) / 0.05)  # cheeks are redder: darker in grey
    tone -= 0.10 * np.exp(-((np.abs(x) - person.eye_x + 0.04) ** 2) / 0.05 - (y - 0.02) ** 2 / 0.02)  # sockets
    skin: np.ndarray = 255 * person.skin * tone
    if person.beard != "none":
        grain = np.clip(1 + 0.2 * noise(rng, canvas.side, 0.02 * unit), 0.4, 1.6)
        dense = {"stubble": 0.24, "full": 0.92}.get(person.beard, 0.85)
        cover = dense * _beard(person, x, y)
        colour = 255 * min(person.hair * 0.9 + 0.03, 0.6 * person.skin) * grain
        skin = skin + (colour - skin) * cover
    return skin.astype(np.float32)


def _beard(p: Identity, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where the beard grows, in [0, 1]; it leaves the lips free."""
    ax, my = np.abs(x), p.mouth_y
    edge = np.interp(ax, [0, 0.14, 0.36, 0.56, 0.74, 0.95], [my + 0.13, my + 0.14, my - 0.02, 0.72, 0.48, 0.02])
    jaw = smoothstep(y - edge, -0.13, 0.13)
    # The moustache droops from under the nose toward the corners of the mouth.
    middle = p.nose_length + 0.17 + 0.45 * ax**1.6
    moustache = smoothstep(-np.abs(y - middle) / (0.062 - 0.05 * ax), -1.2, -0.5) * smoothstep(-ax, -0.47, -0.3)
    moustache = moustache * smoothstep(ax, -0.04, 0.04)
    chin = smoothstep(-((ax / 0.26) ** 2 + ((y - p.chin + 0.08) / 0.27) ** 2), -1.25, -0.7) * smoothstep(
        y, my + 0.12, my + 0.18
    )
    return {"moustache": moustache, "goatee": np.maximum(chin, 0.9 * moustache)}.get(
        p.beard, np.maximum(jaw, moustache)
    )


def _strands(person: Identity, canvas: Canvas) -> np.ndarray:
    """Texture of hair around 1: streaks running out from the crown, a soft highlight."""
    rng = np.random.default_rng([person.seed, 3])
    x, y = np.meshgrid(*canvas.grid())
    hub = 1.22 if person.hair_style in ("fringe", "bob", "long") else 0.62  # hair combed down or back
    angle = np.arctan2(x, -(y + hub))
    radius = np.hypot(x, y + hub)
    curly = person.hair_style == "curly"
    streaks = cv2.GaussianBlur(rng.standard_normal((32, 512)).astype(np.float32), (0, 0), sigmaX=1.6, sigmaY=1.5)
    streaks = np.asarray(streaks / streaks.std(), np.float32)
    u = ((angle / (2 * np.pi) + 0.5) * 511 + 3 * np.sin(7 * radius)).astype(np.float32)
    texture = cv2.remap(
        streaks, u, (radius / 2.8 * 31).astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    if curly:
        texture = noise(rng, canvas.side, 0.022 * canvas.unit)
    shine = np.exp(-((y + 1.05 + 0.12 * np.cos(3 * x)) ** 2) / 0.02)
    texture = np.tanh(texture)
    return 1 + (0.13 if curly else 0.2) * texture + (0.1 if curly else 0.4) * shine * (1 + 0.3 * texture)


def behind_layer(person: Identity, canvas: Canvas) -> Layer:
    """Ears, behind the outline of the face."""
    tone, cover = canvas.empty() + np.float32(255 * person.skin), canvas.empty()
    for outline, factor in ears(person):
        fill(cover, canvas.pixels(outline), 1.0)
        fill(tone, canvas.pixels(outline), 255 * person.skin * factor)
    return Layer(cv2.GaussianBlur(tone, (0, 0), 0.015 * canvas.unit), cover)


def front_layer(person: Identity, canvas: Canvas) -> Layer:
    """Hair and glasses in front of the face."""
    hair, frame = canvas.empty(), canvas.empty()
    for outline in front_hair(person):
        fill(hair, canvas.pixels(outline), 1.0)
    soft = 0.028 if person.hair_style in ("buzz", "curly") else 0.014
    hair = cv2.GaussianBlur(hair, (0, 0), soft * canvas.unit) * (0.75 if person.hair_style == "buzz" else 1.0)
    pen = (0.045 if person.glasses == "square" else 0.03) * canvas.unit
    rims, lines = glasses(person)
    for line in [*(np.concatenate([rim, rim[:2]]) for rim in rims), *lines]:
        stroke(frame, canvas.pixels(line), pen, 1.0)
    tone = np.clip(255 * person.hair * _strands(person, canvas), 0, 255)
    return Layer((tone + (18 - tone) * frame).astype(np.float32), np.maximum(hair, frame))


def body_layer(person: Identity, canvas: Canvas) -> Layer:
    """Hair behind the neck, neck, and clothed shoulders."""
    w = person.head_width * person.jaw
    x, y = np.meshgrid(*canvas.grid())
    hair = back_hair(person)
    tone = canvas.empty() + np.float32(255 * person.hair * 0.45)
    cover = canvas.mask(hair) if hair is not None else canvas.empty()
    # The head shades the neck, most right under the chin; the neck itself is a cylinder.
    shadow = 0.38 + 0.4 * smoothstep(y, person.chin - 0.1, person.chin + 0.45)
    neck_tone = 255 * person.skin * shadow * np.sqrt(np.maximum(1 - (x / (0.95 * w)) ** 2, 0.1))
    neck = _mirrored([(0.62 * w, 0.4), (0.60 * w, 1.2), (0.66 * w, 1.42), (0.8 * w, 1.8)])
    tone, cover = _over(tone, cover, neck_tone, canvas.mask(neck))
    shoulders = [(0.0, 1.50), (0.68 * w, 1.44), (1.2, 1.68), (1.7, 1.86), (2.05, 2.15), (2.3, 2.9)]
    opening = spline(_mirrored(_COLLAR[person.collar]) * [w, 1], closed=True)
    cloth = canvas.mask(spline(_mirrored(shoulders))) * (1 - canvas.mask(opening))
    tone, cover = _over(tone, cover, _fabric(person, canvas, opening), cloth)
    return Layer(tone.clip(0, 255).astype(np.float32), cover.astype(np.float32))


_COLLAR = {
    "crew": [(0.50, 1.3), (0.42, 1.58), (0.0, 1.68)],
    "v": [(0.58, 1.3), (0.42, 1.6), (0.0, 1.95)],
    "shirt": [(0.50, 1.3), (0.30, 1.6), (0.0, 1.82)],
}


def _fabric(person: Identity, canvas: Canvas, opening: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng([person.seed, 4])
    x, y = np.meshgrid(*canvas.grid())
    weave: np.ndarray = (
        1 + 0.02 * noise(rng, canvas.side, 0.05 * canvas.unit) + 0.05 * noise(rng, canvas.side, 0.25 * canvas.unit)
    )
    if person.seed % 3 == 0:
        weave += 0.12 * np.tanh(4 * np.sin(14 * y))  # stripes
    hem = canvas.empty()
    stroke(hem, canvas.pixels(np.concatenate([opening, opening[:1]])), 0.03 * canvas.unit, 1.0)
    return 255 * person.cloth * weave * (1 - 0.25 * smoothstep(np.abs(x), 0.6, 1.8)) * (1 - 0.35 * hem)


def _mirrored(right: list[tuple[float, float]]) -> np.ndarray:
    """An outline from its right half."""
    points = np.array(right)
    return np.concatenate([points[points[:, 0] != 0][::-1] * [-1, 1], points])


def _over(tone: np.ndarray, cover: np.ndarray, top: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return tone + (top - tone) * part, cover + part - cover * part


def background(seed: int, side: int) -> np.ndarray:
    """A blurred room, float32 [side, side] in [0, 255]: large tones, shelves and frames, fine texture."""
    rng = np.random.default_rng([seed, 5])
    image: np.ndarray = np.full((side, side), rng.uniform(70, 190), np.float32)
    image += rng.uniform(8, 28) * noise(rng, side, side / 7)
    for _ in range(rng.integers(3, 8)):
        x, y = rng.uniform(-0.1, 0.9, 2) * side
        w, h = rng.uniform(0.08, 0.45, 2) * side
        corners = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])
        fill(image, corners.astype(np.float32), rng.uniform(40, 220))
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.012, 0.035) * side)
    image += 3 * noise(rng, side, side / 90)
    return np.clip(image, 8, 245)
