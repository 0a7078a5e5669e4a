"""Right eyes of the embedded faces, seven emotions under four lightings, laid out as the SEE data set is (`see.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from datasets.events import Events
from datasets.faces.action_units import AU_INDEX, AU_NAMES, PROTOTYPES
from datasets.faces.behaviour import Behaviour
from datasets.faces.identity import Identity
from datasets.faces.pose import CENTRE, FACE_UNIT, Pose
from datasets.faces.render import Light, Scene, render
from datasets.faces.signals import Wander, glide
from datasets.recipe import ClipJob, Made, Recipe
from datasets.sample import Sample
from datasets.see import EMOTIONS, FPS, LIGHTINGS, NO_AFFECT, SHARES
from datasets.simulator import PRESETS, PixelModel, simulate
from datasets.splits import split_by_group
from neuva import NeuvaError, __version__

SIDE = 90
"""Pixels of the square around the eye, the side SEEN takes."""

GREY, STEPS = 128, 2
"""An event frame's ground; pictures rendered a frame, between which the simulator interpolates."""

_FACE, _SPAN, _UP = 320, 1.0, 0.18  # pixels of the rendered face; the square's side and rise, in face units
_TERMS = dict(zip(EMOTIONS, ("angry", "disgusted", "fearful", "happy", None, "sad", "surprised"), strict=True))
_UNITS = {prototype.term: prototype.units for prototype in PROTOTYPES}

_STOPS = {"normal": (0, 0), "overexposed": (1.8, 0), "low": (-2.5, 0), "hdr": (0, 2.5)}
"""Of each lighting: exposure, and how far it rises or falls to either side of the picture, in powers of two."""
_FULL_WELL, _READ_NOISE = 4000.0, 0.006  # electrons; a share of the full picture. Assumed, of a small 8-bit sensor


@dataclass(frozen=True)
class EyesSpec:
    """How many eyes, for how long, and how they are filmed.

    volunteers: none is in two splits. takes: clips of each volunteer and emotion. frames: least and most of a clip,
    at 30 a second. model: the event camera's pixel.
    """

    volunteers: int = 20
    takes: int = 2
    frames: tuple[int, int] = (18, 42)
    model: PixelModel = PRESETS["davis346"]
    seed: int = 0


SIZES = {"default": EyesSpec(), "smallest": EyesSpec(volunteers=6, takes=1, frames=(18, 24))}


@dataclass(frozen=True)
class EyeClip:
    """What determines a clip: who, what is shown under which light, how many frames, and the random course."""

    volunteer: int
    take: int
    emotion: str
    lighting: str
    frames: int
    seed: int


def recipe(*, size: str = "default", seed: int = 0) -> Recipe:
    """The eyes in a size of `SIZES`.

    Raises:
        NeuvaError: if there is no such size.
    """
    if size not in SIZES:
        raise NeuvaError(f'size "{size}" is not known: choose one of {", ".join(SIZES)}')
    return eyes(replace(SIZES[size], seed=seed))


def eyes(spec: EyesSpec) -> Recipe:
    """The clips of a specification as they go into a store, with the arrays and meta keys of `see.recipe`.

    The split is by volunteer, with the shares that `see.recipe` has: 70 % train, 10 % validation, 20 % test.
    """
    clips = list(_clips(spec))
    splits = split_by_group([f"{clip.volunteer:03d}" for clip in clips], SHARES, spec.seed)
    jobs = [
        ClipJob(_name(number, clip), split, partial(make_clip, clip, spec.model))
        for number, (clip, split) in enumerate(zip(clips, splits, strict=True), 1)
    ]
    provenance: dict[str, Any] = {
        "source": "synthetic faces, right eyes",
        "version": __version__,
        "split": "disjoint",
        "synthetic": True,
        **{key: list(value) if isinstance(value, tuple) else value for key, value in asdict(spec).items()},
        "subjects": spec.volunteers,
        "shared_subjects": 0,
        "notes": [
            "synthetic: the eyes are drawn, not filmed: what is measured on them is no result on any published data",
            "no volunteer is in two splits; published figures are on a split that shares volunteers",
            NO_AFFECT,
        ],
        "emotions": list(EMOTIONS),
        "left_out": {},
    }
    return Recipe("synthetic-eyes", (SIDE, SIDE), provenance, jobs)


def make_clip(clip: EyeClip, model: PixelModel) -> Made:
    """One clip: grey frames as a sensor with a full well keeps them, and event frames of the same eye.

    Event frame k holds the last polarity of each pixel in the 1/30 s before frame k: 255 brighter, 0 darker, 128
    none. The frames' sensor clips, the event camera does not; both see less, with more noise, where it is dark.
    """
    rng = np.random.default_rng([clip.volunteer, clip.seed])
    eye = _render(clip, rng)
    stops = _stops(clip.lighting, rng)
    seen = np.round(255 * eye * np.exp2(stops - max(stops.max(), 0))).astype(np.uint8)  # the brightest just fits
    times = np.round(np.arange(len(seen)) * 1e6 / (FPS * STEPS)).astype(np.int64)
    events = simulate(seen, times, model, clip.seed)
    arrays = {
        "event_frames": last_polarities(events, times[::STEPS]),
        "frames": _exposed((eye * np.exp2(stops))[STEPS::STEPS], rng),
    }
    n = clip.frames
    label_times = np.round(np.arange(n) * 1e6 / FPS).astype(np.int64)
    sample = Sample(
        Events.empty((SIDE, SIDE)), label_times, np.zeros((n, 2), np.float32), np.zeros(n, bool), _meta(clip)
    )
    return sample, arrays


def last_polarities(events: Events, edges: np.ndarray) -> np.ndarray:
    """Event frames, uint8 [len(edges) - 1, H, W]: of events with edge < t <= next edge, each pixel's last polarity."""
    width, height = events.sensor_size
    frames = np.full((len(edges) - 1, height, width), GREY, np.uint8)
    for frame, (start, stop) in zip(frames, pairwise(edges.tolist()), strict=True):
        inside = events.between(start + 1, stop + 1).array
        frame[inside["y"], inside["x"]] = np.where(inside["p"], 255, 0)  # of events at one pixel the last one stays
    return frames


def _clips(spec: EyesSpec) -> Iterator[EyeClip]:
    """Emotions and lightings take turns, so that each pair is as frequent as the counts allow."""
    rng = np.random.default_rng(spec.seed)
    low, high = spec.frames
    for volunteer in range(spec.volunteers):
        for take in range(spec.takes):
            for number, emotion in enumerate(EMOTIONS):
                lighting = LIGHTINGS[(volunteer + take + number) % len(LIGHTINGS)]
                frames, seed = int(rng.integers(low, high + 1)), int(rng.integers(2**31))
                yield EyeClip(volunteer, take, emotion, lighting, frames, seed)


def _name(number: int, clip: EyeClip) -> str:
    return f"{number}_{clip.volunteer:03d}_{clip.lighting}_{clip.emotion}_{clip.frames}_take{clip.take:03d}"


def _meta(clip: EyeClip) -> dict[str, Any]:
    return {
        "subject": f"{clip.volunteer:03d}",
        "volunteer": f"{clip.volunteer:03d}",
        "sex": None,
        "age": None,
        "degree": None,
        "lighting": clip.lighting,
        "emotion": clip.emotion,
        "take": clip.take,
        "length_in_name": clip.frames,
        "synthetic": True,
    }


def _render(clip: EyeClip, rng: np.random.Generator) -> np.ndarray:
    """The eye in even light, float64 [STEPS * frames + 1, SIDE, SIDE] in [0, 1], from one frame before the first."""
    person = replace(Identity.from_seed(clip.volunteer), glasses="none", hair_style="buzz")  # all under the helmet
    t = np.arange(STEPS * clip.frames + 1) / (FPS * STEPS)
    still, ones = np.zeros_like(t), np.ones_like(t)
    slip = [0.001 * Wander(rng, 1.5)(t) for _ in range(2)]  # a helmet holds the camera: the head does not turn in it
    scene = Scene(
        Behaviour(rng, float(t[-1]), 0.5).add_to(_shown(clip.emotion, t, rng), t),
        np.zeros(len(AU_NAMES)),
        Pose(still, still, still, slip[0], slip[1], ones),
        Light(ones, still + rng.uniform(-0.6, 0.6), still),
        np.zeros((len(t), 2)),
        0,
    )
    side = _SPAN * FACE_UNIT * _FACE
    x, y = (
        CENTRE[0] - person.eye_x * FACE_UNIT + rng.normal(0, 0.004),
        CENTRE[1] - _UP * FACE_UNIT + rng.normal(0, 0.004),
    )
    scale = SIDE / side
    cut = np.array([[scale, 0, SIDE / 2 - scale * x * _FACE], [0, scale, SIDE / 2 - scale * y * _FACE]])
    faces = render(person, scene, _FACE)
    return np.stack([cv2.warpAffine(face, cut, (SIDE, SIDE), flags=cv2.INTER_LINEAR) for face in faces]) / 255


def _shown(emotion: str, t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Action units of an emotion that rises to its height within the clip, [T, len(AU_NAMES)]."""
    units = np.zeros((len(t), len(AU_NAMES)))
    height = rng.uniform(0.7, 1.0)
    course = np.array([rng.uniform(0.2, 0.6), 1.0]) * height
    strength = glide(t, np.array([rng.uniform(0, 0.3)]), course, np.array([rng.uniform(0.2, 0.5)]))
    for name, value in _UNITS.get(_TERMS[emotion] or "", {}).items():
        units[:, AU_INDEX[name]] = strength * value
    return units


def _stops(lighting: str, rng: np.random.Generator) -> np.ndarray:
    """Exposure in powers of two, [SIDE]: even, or from dark to bright across the picture."""
    stops, slope = _STOPS[lighting]
    return stops + rng.uniform(-0.15, 0.15) + slope * rng.choice([-1, 1]) * np.linspace(-1, 1, SIDE)


def _exposed(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """8-bit pictures of light in full wells: photons' noise (variance light / full well), read noise, clipping."""
    noise = rng.normal(size=light.shape) * np.sqrt(light / _FULL_WELL + _READ_NOISE**2)
    return np.round(255 * np.clip(light + noise, 0, 1)).astype(np.uint8)
