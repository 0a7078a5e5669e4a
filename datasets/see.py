"""SEE, single-eye emotions: event and intensity frames as they are published, with everything the names say.

Zhang et al., "In the Blink of an Eye: Event-based Emotion Recognition", SIGGRAPH 2023. 111 volunteers, a DAVIS346
before the right eye, seven emotions under four lightings, 2,405 sequences. The data set is pictures at 30 a second,
no events: `Sample.events` stays empty, and there is no valence or arousal: every label is masked.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datasets.events import Events
from datasets.recipe import ClipJob, Made, Recipe
from datasets.sample import Sample
from datasets.splits import shared_groups, split_by_group
from neuva import NeuvaError, __version__

log = logging.getLogger(__name__)

EMOTIONS = ("angry", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
LIGHTINGS = ("normal", "overexposed", "low", "hdr")
FPS = 30
EVENT_TREES, FRAME_TREES = ("event", "event_30"), ("frame",)
SPLIT_FILES = ("emotion.json", "emotion_new_adjust2.json")
SUBSETS = {"training": "train", "testing": "test"}
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
CURE = (
    "SEE is given out on application at www.dluticcd.com; unpack it so that there are "
    "event/EMOTION/SEQUENCE/00000.jpg, frame/EMOTION/SEQUENCE/00000.jpg and emotion.json"
)
NO_AFFECT = "emotions only: valence and arousal are masked"
_NAME = re.compile(
    r"(?P<number>\d+)_(?P<volunteer>\d+)_(?P<sex>man|woman)_(?P<age>\d+)_(?P<degree>.+)"
    rf"_(?P<lighting>{'|'.join(LIGHTINGS)})_(?P<emotion>{'|'.join(EMOTIONS)})_(?P<length>\d+)_take(?P<take>\d+)",
    re.IGNORECASE,
)
_IMAGE = re.compile(r"\d{5}\.jpg", re.IGNORECASE)


@dataclass(frozen=True)
class Sequence:
    """One sequence: its name, what it says, and the two folders of pictures."""

    name: str
    said: Mapping[str, str]
    events: Path
    frames: Path

    def meta(self) -> dict[str, Any]:
        """Volunteer, lighting and so on, as they go into the store."""
        return {
            "subject": self.said["volunteer"],
            "volunteer": self.said["volunteer"],
            "sex": self.said["sex"].lower(),
            "age": int(self.said["age"]),
            "degree": self.said["degree"],
            "lighting": self.said["lighting"].lower(),
            "emotion": self.said["emotion"].lower(),
            "take": int(self.said["take"]),
            "length_in_name": int(self.said["length"]),
        }


def recipe(root: Path, *, split: str = "disjoint", seed: int = 0) -> Recipe:
    """SEE as it goes into a store, one clip a sequence.

    arrays: event_frames and frames, uint8 [T, H, W] (grey, at their published size); label times at 30 a second.
    Sequences that lack a tree, or whose name cannot be read, are left out: logged, and listed in the provenance.

    Args:
        root: folder with the trees `event` (or `event_30`) and `frame`, and the split file.
        split: "disjoint" (no volunteer in two splits: 70 % train, 10 % validation, 20 % test) or "official" (the
            published training and testing, which share volunteers; only the frames of its segments).
        seed: of the disjoint split.

    Raises:
        NeuvaError: if files are missing or the split file is damaged.
    """
    root = Path(root)
    if split not in ("disjoint", "official"):
        raise NeuvaError(f'SEE: split "{split}" is not known: choose disjoint or official')
    sequences, left_out = _sequences(root)
    segments: dict[str, tuple[int, int]] = {}
    inputs: list[Path] = []
    if split == "official":
        inputs.append(table := _split_file(root))
        assigned, segments = _official(table)
        left_out |= {name: "has no frames in the split file" for name in sequences if name not in assigned}
        there = sequences.keys() | left_out.keys()
        left_out |= {name: "is in the split file alone" for name in assigned if name not in there}
        sequences = {name: sequence for name, sequence in sequences.items() if name in assigned}
        splits = [assigned[name] for name in sequences]
    else:
        splits = split_by_group([each.said["volunteer"] for each in sequences.values()], SHARES, seed)
    if not sequences:
        raise NeuvaError(f"{root}: no sequence of the split file is there: {CURE}")
    if left_out:
        name, why = next(iter(sorted(left_out.items())))
        log.warning("SEE: %d sequences left out, the first %s: %s", len(left_out), name, why)
    jobs = [
        ClipJob(name, to, partial(make_clip, sequence, segments.get(name)))
        for (name, sequence), to in zip(sequences.items(), splits, strict=True)
    ]
    inputs += [folder for sequence in sequences.values() for folder in (sequence.events, sequence.frames)]
    provenance = {
        "source": "SEE, Zhang et al., SIGGRAPH 2023",
        "version": __version__,
        "split": split,
        **({"seed": seed} if split == "disjoint" else {}),
        **_sharing([each.said["volunteer"] for each in sequences.values()], splits),
        "emotions": list(EMOTIONS),
        "left_out": left_out,
    }
    return Recipe("see", _size(sequences.values()), provenance, jobs, inputs)


def make_clip(sequence: Sequence, segment: tuple[int, int] | None) -> Made:
    """The pictures of a sequence that are in both trees (and in the segment [start, stop), if given).

    Raises:
        NeuvaError: if there are none, one cannot be read or is of another size than those before it.
    """
    events, frames = _images(sequence.events), _images(sequence.frames)
    numbers = sorted(events.keys() & frames.keys())
    if segment is not None:
        numbers = [number for number in numbers if segment[0] <= number < segment[1]]
    if not numbers:
        raise NeuvaError(
            f"{sequence.events}: no picture that {sequence.frames} has too: copy the sequence again, or remove it"
        )
    meta = sequence.meta()
    if len(numbers) != meta["length_in_name"]:
        log.info("SEE: %s has %d frames, its name says %d", sequence.name, len(numbers), meta["length_in_name"])
    arrays = {
        "event_frames": _stack([events[number] for number in numbers]),
        "frames": _stack([frames[number] for number in numbers]),
    }
    times = np.round(np.array(numbers) * 1e6 / FPS).astype(np.int64)
    height, width = arrays["event_frames"].shape[1:]
    n = len(numbers)
    labels = np.zeros((n, 2), np.float32)
    return Sample(Events.empty((width, height)), times, labels, np.zeros(n, bool), meta), arrays


def _sharing(volunteers: list[str], splits: list[str]) -> dict[str, Any]:
    shared = len(shared_groups(volunteers, splits))
    people = len(set(volunteers))
    note = (
        f"{shared} of {people} volunteers are in more than one split: results are for people seen in training"
        if shared
        else "no volunteer is in two splits; published figures are on a split that shares volunteers"
    )
    return {"subjects": people, "shared_subjects": shared, "notes": [note, NO_AFFECT]}


def _sequences(root: Path) -> tuple[dict[str, Sequence], dict[str, str]]:
    """Sequences with both trees, sorted by name, and why the others are left out."""
    events, frames = _folders(_tree(root, EVENT_TREES)), _folders(_tree(root, FRAME_TREES))
    sequences, left_out = {}, {}
    for name in sorted(events.keys() | frames.keys()):
        said = _NAME.fullmatch(name)
        if said is None:
            left_out[name] = "its name is not number_volunteer_sex_age_degree_lighting_emotion_length_take"
        elif name not in events or name not in frames:
            left_out[name] = f"has no {'event' if name not in events else 'intensity'} frames"
        elif (emotion := events[name].parent.name.lower()) != said["emotion"].lower():
            left_out[name] = f"lies under {emotion}"
        else:
            sequences[name] = Sequence(name, said.groupdict(), events[name], frames[name])
    if not sequences:
        raise NeuvaError(f"{root}: no sequence has both event and intensity frames: {CURE}")
    return sequences, left_out


def _tree(root: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise NeuvaError(f"{root}: has no folder {' or '.join(names)}: {CURE}")


def _folders(tree: Path) -> dict[str, Path]:
    """Sequence folders by name; an emotion's folder may be written in any case (`neutraL`)."""
    found: dict[str, Path] = {}
    for emotion in sorted(tree.iterdir()):
        if emotion.name.lower() not in EMOTIONS or not emotion.is_dir():
            continue
        for folder in sorted(emotion.iterdir()):
            if folder.name.startswith(".") or folder.name.endswith("_cropped") or not folder.is_dir():
                continue
            if folder.name in found:
                raise NeuvaError(f"{folder}: is also {found[folder.name]}: remove the one whose emotion is wrong")
            found[folder.name] = folder
    return found


def _split_file(root: Path) -> Path:
    path = next((root / name for name in SPLIT_FILES if (root / name).is_file()), None)
    if path is None:
        raise NeuvaError(f"{root}: has no split file ({' or '.join(SPLIT_FILES)}): {CURE}, or take split disjoint")
    return path


def _official(path: Path) -> tuple[dict[str, str], dict[str, tuple[int, int]]]:
    """Split and segment [start, stop) of each sequence that has frames in the split file."""
    try:
        database = dict(json.loads(path.read_text(encoding="utf-8"))["database"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NeuvaError(f"{path}: is no split file ({error!r}): copy it again, or take split disjoint") from error
    splits, segments = {}, {}
    for name, row in database.items():
        try:
            subset, (start, stop) = SUBSETS[row["subset"]], map(int, row["annotations"]["segment"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise NeuvaError(
                f"{path}: sequence {name}: needed subset (training or testing) and segment [start, stop]: copy it again"
            ) from error
        if start < stop:
            splits[name], segments[name] = subset, (start, stop)
    return splits, segments


def _size(sequences: Iterable[Sequence]) -> tuple[int, int]:
    """(width, height) of the first event frame."""
    for sequence in sequences:
        for path in _images(sequence.events).values():
            height, width = _grey(path).shape
            return width, height
    raise NeuvaError(f"SEE: the sequences' folders hold no picture: {CURE}")


def _images(folder: Path) -> dict[int, Path]:
    return {int(path.stem): path for path in sorted(folder.iterdir()) if _IMAGE.fullmatch(path.name)}


def _stack(paths: list[Path]) -> np.ndarray:
    images = [_grey(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            height, width = images[0].shape
            raise NeuvaError(f"{path}: is {image.shape[1]}x{image.shape[0]}, the first {width}x{height}: copy it again")
    return np.stack(images)


def _grey(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise NeuvaError(f"{path}: cannot be read as a picture: copy it again")
    return image
