"""Who is trained on and who is scored: the official split, and folds that keep a video's people together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.store import EventStore
from neuva import NeuvaError
from snn.baselines.sequence import Task

TASKS: tuple[Task, ...] = ("valence_arousal", "expression", "action_units")
OFFICIAL, VIDEOS = "official", "videos-"
"""The official split, and what the number of another, from 1, stands behind."""


@dataclass(frozen=True, eq=False)
class ClipLabels:
    """A clip's labels and where it stands; n frames.

    index: in the store. official: per task it is annotated for, "train" or "validation". heard: it has sound.
    valence_arousal: float32 [n, 2]; mask: bool [n]. expression: int8 [n]; action_units: int8 [n, 12]; -1 invalid.
    """

    index: int
    name: str
    video: str
    fold: int
    official: dict[str, str]
    heard: bool
    times_us: np.ndarray
    valence_arousal: np.ndarray
    mask: np.ndarray
    expression: np.ndarray
    action_units: np.ndarray

    def target(self, task: Task) -> np.ndarray:
        """What the task's estimates are held against, [n, ...]."""
        return {
            "valence_arousal": self.valence_arousal,
            "expression": self.expression,
            "action_units": self.action_units,
        }[task]

    def valid(self, task: Task) -> np.ndarray:
        """Frames that have a label of the task, bool [n]."""
        if task == "valence_arousal":
            return self.mask
        return self.expression >= 0 if task == "expression" else np.all(self.action_units >= 0, axis=1)


def read_clips(path: Path) -> list[ClipLabels]:
    """The labels of all clips; pictures and sound stay on disk.

    Raises:
        NeuvaError: if the store holds no frames, as Aff-Wild2's has them.
    """
    store = EventStore(path)
    clips = []
    for index, name in enumerate(store.names):
        meta = store.meta(index)
        try:
            if not len(store.arrays(index, "frame_index")):
                raise NeuvaError("it has no frame")
            expression, units = store.arrays(index, "expression"), store.arrays(index, "action_units")
        except NeuvaError as error:
            raise NeuvaError(
                f"{path}: clip {name} has no frames with three tasks' labels ({error}): make the store by "
                "`neuva data make aff-wild2` or `synthetic-videos`"
            ) from error
        place = meta["video"], meta["fold"], meta["official"], "audio_rate" in meta
        clips.append(ClipLabels(index, name, *place, *store.labels(index), expression, units))
    return clips


def splits(folds: int) -> list[str]:
    """Names of the splits: the official one, and the store's folds by video, which are not the authors' folds."""
    return [OFFICIAL, *(f"{VIDEOS}{k + 1}" for k in range(folds))]


def parts(clips: Sequence[ClipLabels], split: str, task: Task) -> tuple[list[ClipLabels], list[ClipLabels]]:
    """(trained on, scored) of those with labels of the task: by its official split, or all but a fold and that fold."""
    labelled = [clip for clip in clips if task in clip.official and clip.valid(task).any()]
    scored = [clip for clip in labelled if _held_out(clip, split, task)]
    return [clip for clip in labelled if clip not in scored], scored


def encoder_clips(clips: Sequence[ClipLabels], split: str) -> list[ClipLabels]:
    """Clips the encoder of a split may see: of no video that is scored there in any task."""
    scored = {clip.video for clip in clips for task in clip.official if _held_out(clip, split, task)}
    return [clip for clip in clips if clip.video not in scored]


def _held_out(clip: ClipLabels, split: str, task: str) -> bool:
    if split == OFFICIAL:
        return clip.official.get(task) == "validation"
    return clip.fold == int(split.removeprefix(VIDEOS)) - 1
