"""Clips of synthetic faces with their labels, each fully determined by its ClipSpec."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.faces.action_units import AU_NAMES, EXPRESSIONS, affect_to_units, expression_class
from datasets.faces.affect import AffectPath
from datasets.faces.behaviour import Behaviour
from datasets.faces.identity import Identity
from datasets.faces.pose import CENTRE, FACE_UNIT, Pose
from datasets.faces.render import Light, Scene, render
from datasets.faces.signals import Wander
from neuva import NeuvaError

LIGHTINGS = ("normal", "overexposed", "low", "hdr")
"""Lighting conditions, as the SEE data set names them."""

SPLITS = ("train", "validation", "test")
BOX_SIDE = 2.9 * FACE_UNIT
"""Side of the box around a face at scale 1, as a fraction of the picture's side."""

LABEL_STEP = 40_000
"""Microseconds between labels: 25 Hz."""

_EXPOSURE = {"normal": (1.0, 0.0), "overexposed": (2.1, 0.0), "low": (0.26, 0.0), "hdr": (0.95, 4.0)}
"""Gain, and how much brighter one side of the scene is than the other in powers of two."""


@dataclass(frozen=True)
class ClipSpec:
    """What determines a clip: who, which random course, the light, and the format.

    Raises:
        NeuvaError: for an unknown lighting or a format that cannot be rendered.
    """

    identity: int
    seed: int
    lighting: str = "normal"
    seconds: float = 4.0
    fps: float = 50.0
    size: int = 128

    def __post_init__(self) -> None:
        if self.lighting not in LIGHTINGS:
            raise NeuvaError(f"lighting {self.lighting!r} is unknown: use one of {', '.join(LIGHTINGS)}")
        for name, value, low, high in (
            ("seconds", self.seconds, LABEL_STEP / 1e6, 3600),
            ("fps", self.fps, 1, 10_000),
            ("size", self.size, 32, 1024),
            ("identity", self.identity, 0, 2**63),
            ("seed", self.seed, 0, 2**63),
        ):
            if not low <= value <= high:
                raise NeuvaError(f"{name} of a face clip is {value}, allowed {low} to {high}: choose a value inside")


@dataclass(frozen=True)
class Clip:
    """Frames of a face and what it shows at 25 Hz.

    frames: uint8 [T, size, size]; frame_times: int64 [T] microseconds, from 0 to the clip's end.
    label_times: int64 [N] microseconds, 40000, 80000, ...; valence, arousal: float32 [N] in [-1, 1].
    action_units: float32 [N, len(au_names)], as shown (noise, speech and blinks included).
    expression: int64 [N], index into expression_names; face_box: float32 [N, 3], x and y of the top left
    corner and side of the square around the face, in pixels.
    """

    spec: ClipSpec
    frames: np.ndarray
    frame_times: np.ndarray
    label_times: np.ndarray
    valence: np.ndarray
    arousal: np.ndarray
    action_units: np.ndarray
    expression: np.ndarray
    face_box: np.ndarray
    au_names: tuple[str, ...] = AU_NAMES
    expression_names: tuple[str, ...] = EXPRESSIONS


class _Course:
    """Everything a clip's random course gives, as functions of time in seconds."""

    def __init__(self, spec: ClipSpec) -> None:
        streams = [np.random.default_rng(s) for s in np.random.SeedSequence([spec.identity, spec.seed]).spawn(4)]
        self.affect = AffectPath(streams[0], spec.seconds)
        arousal = self.affect(np.linspace(0, spec.seconds, 64))[1]
        self.behaviour = Behaviour(streams[1], spec.seconds, float(np.clip(0.5 + 0.5 * arousal.mean(), 0, 1)))
        self._light, self._side = Wander(streams[2], 0.4), Wander(streams[2], 0.25)
        self._mean_side, self._sign = streams[2].uniform(-0.8, 0.8), streams[2].choice([-1.0, 1.0])
        self._gain = streams[2].uniform(0.88, 1.12)
        self._drift = Wander(streams[3], 0.3), Wander(streams[3], 0.3)
        self.asymmetry = streams[3].uniform(-0.15, 0.15, len(AU_NAMES))
        self.asymmetry[-4:] = 0  # both eyes close and look together
        self.background = int(streams[3].integers(2**31))
        self._exposure = _EXPOSURE[spec.lighting]

    def units(self, t: np.ndarray) -> np.ndarray:
        return self.behaviour.add_to(affect_to_units(*self.affect(t)), t)

    def light(self, t: np.ndarray) -> Light:
        gain, contrast = self._exposure
        side = np.clip(self._mean_side + 0.15 * self._side(t) + 0.6 * self._sign * (contrast > 0), -1.2, 1.2)
        return Light(gain * self._gain * np.exp(0.05 * self._light(t)), side, np.full(len(t), self._sign * contrast))

    def drift(self, t: np.ndarray) -> np.ndarray:
        return 0.012 * np.stack([d(t) for d in self._drift], axis=1)


def render_clip(spec: ClipSpec) -> Clip:
    """Render a clip; the same spec gives the same bytes on the same machine."""
    course = _Course(spec)
    frame_times = np.rint(np.arange(round(spec.seconds * spec.fps) + 1) * (1e6 / spec.fps)).astype(np.int64)
    label_times = np.arange(1, int(spec.seconds * 1e6 + 0.5) // LABEL_STEP + 1, dtype=np.int64) * LABEL_STEP
    t = frame_times / 1e6
    scene = Scene(
        course.units(t), course.asymmetry, course.behaviour.pose(t), course.light(t), course.drift(t), course.background
    )
    at = label_times / 1e6
    valence, arousal, dominance = course.affect(at)
    return Clip(
        spec=spec,
        frames=render(Identity.from_seed(spec.identity), scene, spec.size),
        frame_times=frame_times,
        label_times=label_times,
        valence=valence.astype(np.float32),
        arousal=arousal.astype(np.float32),
        action_units=course.units(at).astype(np.float32),
        expression=expression_class(valence, arousal, dominance),
        face_box=_face_box(course.behaviour.pose(at), spec.size),
    )


def _face_box(pose: Pose, size: int) -> np.ndarray:
    side = BOX_SIDE * size * pose.scale
    x = (CENTRE[0] + pose.x) * size - side / 2
    y = (CENTRE[1] + pose.y) * size - side / 2
    return np.stack([x, y, side], axis=1).astype(np.float32)


def clip_specs(
    split: str,
    clips: int,
    identities: int,
    *,
    seed: int = 0,
    lightings: tuple[str, ...] = LIGHTINGS,
    seconds: float = 4.0,
    fps: float = 50.0,
    size: int = 128,
) -> list[ClipSpec]:
    """Specs of `clips` clips of `identities` people of a split; no person is in two splits.

    People and lightings take turns, so each combination is as frequent as the counts allow.

    Raises:
        NeuvaError: for an unknown split or a count below 1.
    """
    if split not in SPLITS:
        raise NeuvaError(f"split {split!r} is unknown: use one of {', '.join(SPLITS)}")
    if clips < 1 or identities < 1 or not lightings:
        raise NeuvaError(f"{clips} clips of {identities} people in {len(lightings)} lightings: each must be at least 1")
    part = SPLITS.index(split)
    seeds = np.random.SeedSequence([seed, part]).generate_state(clips)
    return [
        ClipSpec(
            identity=len(SPLITS) * (i % identities) + part,
            seed=int(seeds[i]),
            lighting=lightings[(i + i // identities) % len(lightings)],
            seconds=seconds,
            fps=fps,
            size=size,
        )
        for i in range(clips)
    ]
