"""The embedded synthetic faces as videos with sound, stored as Aff-Wild2 is: for whoever does not have Aff-Wild2.

What is like it: 112x112 JPEG faces, some missing; valence and arousal, expressions and action units a frame, some
invalid; mono sound at 16 kHz; an official split by person and five folds by video. What is not: the pictures are
grey, each video has one person, action unit 24 is not drawn (always 0), and "Other" is the faces' low arousal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial

import cv2
import numpy as np

from datasets.aff_wild2.annotations import ACTION_UNITS, EXPRESSIONS, TASKS
from datasets.aff_wild2.clips import FOLDS
from datasets.aff_wild2.frames import SIDE, nearest
from datasets.aff_wild2.sound import RATE
from datasets.events import Events
from datasets.faces import AU_NAMES, ClipSpec, clip_specs, render_clip
from datasets.faces import EXPRESSIONS as DRAWN
from datasets.recipe import ClipJob, Made, Recipe
from datasets.sample import Sample
from datasets.splits import folds_by_group
from neuva import NeuvaError, __version__

FPS = 25
SHOWN = 0.3
"""An action unit counts as present from this intensity on, of 1."""

_RENDERED = 128  # side of the picture that the face is cropped from
_QUALITY = 90  # of the JPEGs
_GAPS = 150  # frames for each stretch that lacks a picture, and for each whose labels are invalid
_EXPRESSION = np.array([EXPRESSIONS.index({"low arousal": "Other"}.get(name, name.capitalize())) for name in DRAWN])


@dataclass(frozen=True)
class VideosSpec:
    """How many videos, and how long.

    videos: (train, validation), each of a person of its own. seconds: of the videos, in turn.
    """

    videos: tuple[int, int] = (54, 18)
    seconds: tuple[float, ...] = (13.0, 3.0, 5.0, 3.0)
    seed: int = 0

    def clips(self) -> Iterator[tuple[str, str, ClipSpec]]:
        """(split, name, specification) of every clip, in the order they are stored."""
        for split, count in zip(("train", "validation"), self.videos, strict=True):
            specs = clip_specs(
                split, count, count, seed=self.seed, lightings=("normal",), fps=float(FPS), size=_RENDERED
            )
            for number, spec in enumerate(specs):
                yield split, f"{split}-{number:03d}", replace(spec, seconds=self.seconds[number % len(self.seconds)])


SIZES = {"default": VideosSpec(), "smallest": VideosSpec((6, 2), (12.4, 2.0, 3.0))}


def recipe(*, size: str = "default", seed: int = 0) -> Recipe:
    """The videos in a size of `SIZES`.

    Raises:
        NeuvaError: if there is no such size.
    """
    if size not in SIZES:
        raise NeuvaError(f'size "{size}" is not known: choose one of {", ".join(SIZES)}')
    return videos(replace(SIZES[size], seed=seed))


def videos(spec: VideosSpec) -> Recipe:
    """The clips of a specification, as they go into a store: arrays and meta as `datasets.aff_wild2` has them."""
    clips = list(spec.clips())
    folds = folds_by_group([name for _, name, _ in clips], [round(each.seconds * FPS) for _, _, each in clips], FOLDS)
    jobs = [
        ClipJob(name, split, partial(make_clip, name, split, each, fold))
        for (split, name, each), fold in zip(clips, folds, strict=True)
    ]
    provenance = {
        "source": "synthetic faces, as videos with sound",
        "synthetic": True,
        "version": __version__,
        **{key: list(value) if isinstance(value, tuple) else value for key, value in asdict(spec).items()},
        "expressions": list(EXPRESSIONS),
        "action_units": list(ACTION_UNITS),
        "folds": FOLDS,
        "notes": [
            "the faces are drawn and the sound is computed: what is measured on them is no result on Aff-Wild2",
            "no events: grey faces as JPEG, labels of each frame; AU24 is not drawn and always 0; Other is low arousal",
        ],
    }
    return Recipe("synthetic-videos", (SIDE, SIDE), provenance, jobs)


def make_clip(name: str, split: str, spec: ClipSpec, fold: int) -> Made:
    """One clip; arrays and meta as `datasets.aff_wild2.make_clip` gives them, and meta["synthetic"]."""
    clip = render_clip(spec)
    n, rng = len(clip.label_times), np.random.default_rng([spec.seed, 1])
    faces = clip.frames[1:]  # the frames at the label times: frame 0 has no label
    shown = ~_stretches(n, rng)
    numbers = np.flatnonzero(shown).astype(np.int32) + 1
    jpeg, offsets = _jpegs([_crop(faces[k - 1], clip.face_box[k - 1]) for k in numbers])
    va = np.column_stack([clip.valence, clip.arousal]).astype(np.float32)
    mask, no_expression, no_units = ~_stretches(n, rng), _stretches(n, rng), _stretches(n, rng)
    arrays = {
        "expression": np.where(no_expression, -1, _EXPRESSION[clip.expression]).astype(np.int8),
        "action_units": np.where(no_units[:, None], -1, action_units(clip.action_units)).astype(np.int8),
        "jpeg": jpeg,
        "jpeg_offsets": offsets,
        "frame_numbers": numbers,
        "frame_index": nearest(numbers, n),
        "audio": voice(va, rng),
    }
    meta = {
        "video": name,
        "person": None,
        "subject": str(spec.identity),
        "fold": fold,
        "official": dict.fromkeys(TASKS, split),
        "fps": float(FPS),
        "fps_assumed": False,
        "frames_without_picture": int(n - shown.sum()),
        "annotations_cut": 0,
        "audio_rate": RATE,
        "synthetic": True,
    }
    times = np.arange(n, dtype=np.int64) * (1_000_000 // FPS)
    return Sample(Events.empty((SIDE, SIDE)), times, np.where(mask[:, None], va, 0), mask, meta), arrays


def action_units(drawn: np.ndarray) -> np.ndarray:
    """Which of Aff-Wild2's twelve are present, int8 [n, 12], of intensities [n, len(AU_NAMES)]; AU24 never is."""
    present = np.zeros((len(drawn), len(ACTION_UNITS)), np.int8)
    for column, unit in enumerate(ACTION_UNITS):
        if unit in AU_NAMES:
            present[:, column] = drawn[:, AU_NAMES.index(unit)] > SHOWN
    return present


def voice(va: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sound to valence and arousal [n, 2] at 25 Hz: int16 [n * 640] at 16 kHz.

    With valence v(t), arousal a(t) and the person's pitch p in 110 to 220 Hz:

        f(t) = p 2^(0.75 a);   s(t) = 10^((10 a - 26) / 20) g(t) sum_k w_k sin(2 pi k F(t));   F = integral of f
        w_k = k^-(2 - 1.5 v) / sqrt(sum_j j^-(4 - 3 v) / 2),  k = 1..12:   power 1 whatever the tilt

    so arousal is heard as pitch and loudness, valence as brightness. g is 1 in phrases of 1 to 3 s and 0 in pauses of
    0.3 to 0.8 s, with ramps of 30 ms; white noise of -50 dB goes on throughout.
    """
    samples = len(va) * RATE // FPS
    t = np.arange(samples) / RATE
    v, a = (np.interp(t, np.arange(len(va)) / FPS, column) for column in va.T)
    phase = 2 * np.pi * np.cumsum(rng.uniform(110, 220) * 2 ** (0.75 * a)) / RATE
    tone, power = np.zeros(samples), np.zeros(samples)
    for k in range(1, 13):
        weight = k ** -(2 - 1.5 * v)
        tone += weight * np.sin(k * phase)
        power += weight**2 / 2
    sound = 10 ** ((10 * a - 26) / 20) * _phrases(t, rng) * tone / np.sqrt(power)
    sound += 10 ** (-50 / 20) * rng.standard_normal(samples)
    return np.clip(np.round(sound * 2**15), -(2**15), 2**15 - 1).astype(np.int16)


def _phrases(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """1 while the voice speaks, 0 in its pauses, for times in seconds."""
    pairs = int(t[-1] / 1.3) + 2  # a phrase and a pause take 1.3 s at least
    ends = np.cumsum(np.column_stack([rng.uniform(1, 3, pairs), rng.uniform(0.3, 0.8, pairs)]).ravel())
    corners = np.column_stack([ends - 0.015, ends + 0.015]).ravel()
    return np.interp(t, corners, np.tile([1.0, 0.0, 0.0, 1.0], pairs))


def _stretches(n: int, rng: np.random.Generator) -> np.ndarray:
    """True in a few short stretches of n frames, about one of 3 to 8 frames in each `_GAPS`; never everywhere."""
    chosen = np.zeros(n, bool)
    for start in rng.integers(1, max(n, 2), size=-(-n // _GAPS)):
        chosen[start : start + rng.integers(3, 9)] = True
    return chosen


def _crop(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The square (left, top, side) of a picture as RGB uint8 [SIDE, SIDE, 3]; the edge is continued."""
    x, y, side = box
    scale = SIDE / side
    place = np.array([[scale, 0, -scale * x], [0, scale, -scale * y]], np.float64)
    face = cv2.warpAffine(frame, place, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.cvtColor(face, cv2.COLOR_GRAY2RGB)


def _jpegs(faces: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Bytes one after the other, and where each begins and the last ends."""
    files = [cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1] for face in faces]
    return np.concatenate(files), np.concatenate([[0], np.cumsum([len(file) for file in files], dtype=np.int64)])
