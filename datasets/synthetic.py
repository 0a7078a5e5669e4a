"""The embedded synthetic faces as a data set: rendered, turned into events, stored with all their labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from datasets.faces import SPLITS, ClipSpec, clip_specs, render_clip
from datasets.recipe import ClipJob, Made, Recipe
from datasets.sample import Sample
from datasets.simulator import PRESETS, PixelModel, simulate
from neuva import NeuvaError, __version__


@dataclass(frozen=True)
class SyntheticSpec:
    """How many faces, for how long, and how they are filmed.

    identities and clips: (train, validation, test); no person is in two splits. fps: rendered frames a second,
    interpolated per pixel by the simulator. size: side of the square sensor. seconds: of each clip.
    """

    identities: tuple[int, int, int] = (120, 24, 12)
    clips: tuple[int, int, int] = (480, 24, 36)
    seconds: float = 4.0
    fps: float = 50.0
    size: int = 128
    model: PixelModel = PRESETS["v2e"]
    seed: int = 0

    def clip_specs(self) -> Iterator[tuple[str, str, ClipSpec]]:
        """(split, name, specification) of every clip, in the order they are stored."""
        for split, people, clips in zip(SPLITS, self.identities, self.clips, strict=True):
            made = clip_specs(split, clips, people, seed=self.seed, seconds=self.seconds, fps=self.fps, size=self.size)
            for number, spec in enumerate(made):
                yield split, f"{split}/{number:04d}", spec


SIZES = {
    "default": SyntheticSpec(),
    "smallest": SyntheticSpec(identities=(4, 2, 2), clips=(8, 2, 4), seconds=2.0),
    "large": SyntheticSpec(identities=(400, 120, 120), clips=(1200, 240, 240)),
}
"""The faces of the demo's sizes, and as many as a network worth deploying needs."""


def faces(spec: SyntheticSpec) -> Recipe:
    """The clips of a specification, as they go into a store."""
    jobs = [ClipJob(name, split, partial(make_sample, clip, spec.model)) for split, name, clip in spec.clip_specs()]
    provenance = {
        "source": "synthetic faces",
        "version": __version__,
        **_plain(asdict(spec)),
        "notes": ["the faces are drawn, not filmed: what is measured on them is no result on any published data set"],
    }
    return Recipe("synthetic-faces", (spec.size, spec.size), provenance, jobs)


def recipe(*, size: str = "default", seed: int = 0) -> Recipe:
    """The embedded faces in a size of `SIZES`.

    Raises:
        NeuvaError: if there is no such size.
    """
    if size not in SIZES:
        raise NeuvaError(f'size "{size}" is not known: choose one of {", ".join(SIZES)}')
    return faces(replace(SIZES[size], seed=seed))


def make_sample(spec: ClipSpec, model: PixelModel) -> Made:
    """One clip's events and labels, and beside them frames at the label rate, action units and expression."""
    clip = render_clip(spec)
    events = simulate(clip.frames, clip.frame_times, model, spec.seed)
    labels = np.column_stack([clip.valence, clip.arousal]).astype(np.float32)
    shown = np.searchsorted(clip.frame_times, clip.label_times, side="right") - 1
    meta = {
        "start_us": int(clip.frame_times[0]),
        "identity": spec.identity,
        "subject": str(spec.identity),
        "lighting": spec.lighting,
        "synthetic": True,
        "face_track": _centred(clip.label_times, clip.face_box),
        "action_units": list(clip.au_names),
        "expressions": list(clip.expression_names),
    }
    arrays = {
        "frames": clip.frames[shown],
        "action_units": clip.action_units,
        "expression": clip.expression,
    }
    return Sample(events, clip.label_times, labels, np.ones(len(labels), bool), meta), arrays


def _centred(times: np.ndarray, corners: np.ndarray) -> dict[str, list]:
    """Boxes given by their corner as a face's track: centre x, centre y, side."""
    half = corners[:, 2:] / 2
    boxes = np.concatenate([corners[:, :2] + half, corners[:, 2:]], axis=1)
    return {"times": times.tolist(), "boxes": np.round(boxes.astype(float), 3).tolist()}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
