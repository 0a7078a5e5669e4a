"""Aff-Wild2 as it goes into a store: one clip a person in a video, the three tasks joined by frame number."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datasets.aff_wild2.annotations import (
    ACTION_UNITS,
    CURE,
    EXPRESSIONS,
    TASKS,
    Annotation,
    count_lines,
    find_annotations,
    read_action_units,
    read_expression,
    read_valence_arousal,
)
from datasets.aff_wild2.frames import SIDE, nearest, pack, pictures
from datasets.aff_wild2.sound import RATE, ffmpeg, read_sound
from datasets.events import Events
from datasets.recipe import ClipJob, Made, Recipe
from datasets.sample import Sample
from datasets.splits import folds_by_group, shared_groups
from datasets.video import VideoFrames
from neuva import NeuvaError, __version__

log = logging.getLogger(__name__)

ASSUMED_FPS = 30.0
FOLDS = 5
_PERSON = re.compile(r"(?P<video>.+?)(?:_(?P<person>left|right))?")


@dataclass(frozen=True)
class Source:
    """Where one clip's files are. video, sound: None where there is none."""

    name: str
    tasks: Mapping[str, Annotation]
    faces: Path
    video: Path | None
    sound: Path | None
    fold: int

    def files(self) -> list[Path]:
        """All of them, and the folder of faces."""
        annotations = [annotation.path for annotation in self.tasks.values()]
        return [*annotations, self.faces, *(each for each in (self.video, self.sound) if each is not None)]


def recipe(root: Path) -> Recipe:
    """Aff-Wild2 as it goes into a store.

    A clip's split is the official one of its first task in the order valence_arousal, expression, action_units;
    meta["official"] has each task's own. meta["fold"] is one of five folds that keep a video's people together and
    have about as many frames each. Arrays of a clip with N frames, M of which have a picture: see `make_clip`.

    Raises:
        NeuvaError: if annotations or pictures are missing.
    """
    root = Path(root)
    release, annotated = find_annotations(root)
    faces = root / "cropped_aligned"
    if not faces.is_dir():
        raise NeuvaError(f"{root}: has no folder cropped_aligned: {CURE}")
    kept = {name: tasks for name, tasks in annotated.items() if _has_pictures(faces / name)}
    if not kept:
        raise NeuvaError(f"{faces}: has pictures of none of the {len(annotated)} annotated videos: {CURE}")
    left_out = [name for name in annotated if name not in kept]
    if left_out:
        log.warning("Aff-Wild2: %d videos left out, as cropped_aligned lacks them, e.g. %s", len(left_out), left_out[0])
    videos, bases = _videos(root), [video_of(name) for name in kept]
    folds = folds_by_group(bases, [count_lines(tasks) for tasks in kept.values()], min(FOLDS, len(set(bases))))
    sources = [
        Source(name, tasks, faces / name, videos.get(base), _sound(root, base, videos.get(base)), fold)
        for (name, tasks), base, fold in zip(kept.items(), bases, folds, strict=True)
    ]
    splits = [next(tasks[task].split for task in TASKS if task in tasks) for tasks in kept.values()]
    jobs = [
        ClipJob(source.name, split, partial(make_clip, source)) for source, split in zip(sources, splits, strict=True)
    ]
    provenance = {
        "source": f"Aff-Wild2, {release}",
        "version": __version__,
        "expressions": list(EXPRESSIONS),
        "action_units": list(ACTION_UNITS),
        "folds": len(set(folds)),
        "notes": _notes(sources, shared_groups(bases, splits)),
        "left_out": left_out,
    }
    inputs = dict.fromkeys(file for source in sources for file in source.files())
    return Recipe("aff-wild2", (SIDE, SIDE), provenance, jobs, list(inputs))


def make_clip(source: Source) -> Made:
    """One clip. Label row k is frame k + 1 of the video, at ``k / fps`` seconds; a row without a task is masked.

    Frames beyond the longest annotation and annotations beyond the last picture are cut off. Arrays: expression int8
    [N] and action_units int8 [N, 12] (-1 invalid); jpeg uint8 [bytes] and jpeg_offsets int64 [M + 1], the pictures as
    published; frame_numbers int32 [M], which frame of the video each is; frame_index int32 [N], which of them is
    nearest to each label (`frames_of` decodes them); audio int16 [samples] at meta["audio_rate"], if there is any.

    Raises:
        NeuvaError: if a file is damaged.
    """
    files = pictures(source.faces)
    read = {task: annotation.path for task, annotation in source.tasks.items()}
    va, mask = read_valence_arousal(read["valence_arousal"]) if "valence_arousal" in read else _no_labels()
    expression = read_expression(read["expression"]) if "expression" in read else np.empty(0, np.int8)
    units = read_action_units(read["action_units"]) if "action_units" in read else np.empty((0, 12), np.int8)
    annotated = max(len(va), len(expression), len(units))
    n = min(annotated, max(files, default=0))
    shown = {number: path for number, path in files.items() if number <= n}
    if not shown:
        raise NeuvaError(f"{source.faces}: has no picture of the {annotated} annotated frames: copy the folder again")
    numbers = np.array(list(shown), np.int32)
    jpeg, offsets = pack(list(shown.values()))
    fps = _fps(source.video)
    arrays = {
        "expression": _fitted(expression, n, -1),
        "action_units": _fitted(units, n, -1),
        "jpeg": jpeg,
        "jpeg_offsets": offsets,
        "frame_numbers": numbers,
        "frame_index": nearest(numbers, n),
    }
    meta: dict[str, Any] = {
        "video": video_of(source.name),
        "person": _parts(source.name)["person"],
        "fold": source.fold,
        "official": {task: annotation.split for task, annotation in source.tasks.items()},
        "fps": fps or ASSUMED_FPS,
        "fps_assumed": fps is None,
        "frames_without_picture": n - len(shown),
        "annotations_cut": annotated - n,
    }
    sound = read_sound(source.sound) if source.sound is not None else None
    if sound is not None:
        arrays["audio"] = sound
        meta["audio_rate"] = RATE
    times = np.round(np.arange(n) * (1e6 / meta["fps"])).astype(np.int64)
    return Sample(Events.empty((SIDE, SIDE)), times, _fitted(va, n, 0), _fitted(mask, n, False), meta), arrays


def video_of(name: str) -> str:
    """The video a clip's person is in: the name without `_left` or `_right`."""
    return str(_parts(name)["video"])


def _parts(name: str) -> dict[str, str | None]:
    parts = _PERSON.fullmatch(name)
    return parts.groupdict() if parts else {"video": name, "person": None}


def _no_labels() -> tuple[np.ndarray, np.ndarray]:
    return np.empty((0, 2), np.float32), np.empty(0, bool)


def _fitted(rows: np.ndarray, n: int, filler: float) -> np.ndarray:
    """The first n rows, filled up where there are fewer."""
    fitted = np.full((n, *rows.shape[1:]), filler, rows.dtype)
    fitted[: len(rows)] = rows[:n]
    return fitted


def _fps(video: Path | None) -> float | None:
    fps = VideoFrames(video).fps if video is not None else 0.0
    return fps if math.isfinite(fps) and fps > 0 else None


def _has_pictures(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(".jpg") for entry in entries)


def _videos(root: Path) -> dict[str, Path]:
    """Every video below root by its name without suffix; the folders of pictures, which are huge, are not entered."""
    found: dict[str, Path] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "cropped")))
        for path in (Path(folder, name) for name in sorted(files) if not name.startswith(".")):
            if path.suffix.lower() in (".mp4", ".avi"):
                found.setdefault(path.stem, path)
    return found


def _sound(root: Path, base: str, video: Path | None) -> Path | None:
    wav = root / "audio" / f"{base}.wav"
    if wav.is_file():
        return wav
    return video if ffmpeg() else None


def _notes(sources: list[Source], shared: Mapping[str, list[str]]) -> list[str]:
    notes = ["no events: aligned faces as JPEG, labels of each video frame; faces missing from frames are not masked"]
    timeless = sum(source.video is None for source in sources)
    silent = sum(source.sound is None for source in sources)
    torn = sum(len({annotation.split for annotation in source.tasks.values()}) > 1 for source in sources)
    if timeless:
        notes.append(
            f"{timeless} of {len(sources)} clips have no video beside them: {ASSUMED_FPS:g} frames/s are assumed"
        )
    if silent:
        cure = "it needs audio/VIDEO.wav, or the video and ffmpeg installed"
        notes.append(f"{silent} of {len(sources)} clips have no sound: {cure}")
        log.warning("Aff-Wild2: %s", notes[-1])
    if torn:
        notes.append(f"{torn} clips are in training for one task and in validation for another: see meta official")
    if shared:
        notes.append(f"{len(shared)} videos have people in more than one split")
    return notes
