"""The annotation files of Aff-Wild2: a header, then one line a video frame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuva import NeuvaError

EXPRESSIONS = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other")
ACTION_UNITS = tuple(f"AU{number}" for number in (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26))
SETS = {"Train_Set": "train", "Validation_Set": "validation"}
TASKS = {
    "valence_arousal": ("VA_Estimation_Challenge",),
    "expression": ("EXPR_Recognition_Challenge", "EXPR_Classification_Challenge"),
    "action_units": ("AU_Detection_Challenge",),
}
"""Our name of each task, and the folders it is published in."""

CURE = (
    "Aff-Wild2 is given out by iBUG (Imperial College London) after a signed request, see "
    "ibug.doc.ic.ac.uk/resources/aff-wild2; unpack it so that there are "
    "'6th ABAW Annotations/VA_Estimation_Challenge/Train_Set/VIDEO.txt' and 'cropped_aligned/VIDEO/00001.jpg'"
)
_RELEASE = re.compile(r"(?:(\d+)(?:st|nd|rd|th) )?ABAW Annotations", re.IGNORECASE)


@dataclass(frozen=True)
class Annotation:
    """One task's file of a video, and the split that task has it in."""

    path: Path
    split: str


def find_annotations(root: Path) -> tuple[str, dict[str, dict[str, Annotation]]]:
    """The newest release's folder name, and per video, sorted by name, the tasks it is annotated for.

    Raises:
        NeuvaError: if there are none, or a task has a video in both sets.
    """
    releases = {}
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.is_dir() and (named := _RELEASE.fullmatch(folder.name)):
            releases[int(named[1] or 0)] = folder
    if not releases:
        raise NeuvaError(f"{root}: has no folder '... ABAW Annotations': {CURE}")
    release = releases[max(releases)]
    videos: dict[str, dict[str, Annotation]] = {}
    for task, folders in TASKS.items():
        for folder, (name, split) in ((release / each, pair) for each in folders for pair in SETS.items()):
            for path in sorted((folder / name).glob("*.txt")):
                if path.name.startswith("."):  # lock files, and what macOS leaves beside each file
                    continue
                tasks = videos.setdefault(path.stem, {})
                if task in tasks:
                    raise NeuvaError(f"{path}: {task} has this video at {tasks[task].path} too: remove one of them")
                tasks[task] = Annotation(path, split)
    if not videos:
        raise NeuvaError(f"{release}: holds no annotation: {CURE}")
    return release.name, dict(sorted(videos.items()))


def count_lines(tasks: Mapping[str, Annotation]) -> int:
    """Frames in the longest of a video's annotations, by its lines alone."""
    return max(annotation.path.read_bytes().rstrip().count(b"\n") for annotation in tasks.values())


def read_valence_arousal(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels float32 [n, 2] and mask bool [n]; -5 (anything below -1) means invalid, and such a frame's labels are 0.

    Raises:
        NeuvaError: if the file is damaged or a label is above 1.
    """
    rows = _rows(path, ("valence", "arousal"), 2)
    _require(path, rows <= 1, "valence and arousal in [-1, 1], or -5")
    mask = np.all(rows >= -1, axis=1)
    return np.where(mask[:, None], rows, 0).astype(np.float32), mask


def read_expression(path: Path) -> np.ndarray:
    """Number in `EXPRESSIONS` of each frame, int8 [n]; -1 means invalid.

    Raises:
        NeuvaError: if the file is damaged.
    """
    rows = _rows(path, EXPRESSIONS, 1)
    _require(path, np.isin(rows, np.arange(-1, len(EXPRESSIONS))), f"a number in -1..{len(EXPRESSIONS) - 1}")
    return rows[:, 0].astype(np.int8)


def read_action_units(path: Path) -> np.ndarray:
    """Whether each of `ACTION_UNITS` shows, int8 [n, 12]; a frame with any -1 is invalid and -1 throughout.

    Raises:
        NeuvaError: if the file is damaged.
    """
    rows = _rows(path, ACTION_UNITS, len(ACTION_UNITS))
    _require(path, np.isin(rows, (-1, 0, 1)), "0, 1 or -1")
    rows[np.any(rows < 0, axis=1)] = -1
    return rows.astype(np.int8)


def _rows(path: Path, header: tuple[str, ...], columns: int) -> np.ndarray:
    """The numbers below the header, float64 [n, columns]."""
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NeuvaError(f"{path}: cannot be read ({error}): copy it again") from error
    found = tuple(cell.strip().lower() for cell in lines[0].split(",")) if lines else ()
    if found != tuple(name.lower() for name in header):
        raise NeuvaError(f"{path}: line 1 must be {','.join(header)}: copy the file again, or take another release")
    rows = np.empty((len(lines) - 1, columns))
    for row, line in enumerate(lines[1:]):
        try:
            rows[row] = _numbers(line, columns)
        except ValueError as error:
            raise NeuvaError(
                f"{path}: line {row + 2} is {line[:40]!r}, needed {columns} numbers: copy the file again"
            ) from error
    _require(path, np.isfinite(rows), "numbers")
    return rows


def _numbers(line: str, count: int) -> list[float]:
    numbers = [float(cell) for cell in line.split(",")]
    if len(numbers) != count:
        raise ValueError(f"{len(numbers)} cells")
    return numbers


def _require(path: Path, good: np.ndarray, needed: str) -> None:
    bad = np.flatnonzero(~good.all(axis=1))
    if len(bad):
        raise NeuvaError(f"{path}: line {bad[0] + 2} is out of range, needed {needed}: copy the file again")
