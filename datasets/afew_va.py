"""AFEW-VA: 600 clips of films with valence and arousal a frame (Kossaifi et al., Image and Vision Computing 65, 2017).

As published, a folder a clip (one deeper where each archive was unpacked into a folder of its own):

    001/00000.png 00001.png ...
    001/001.json    {"actor": "...", "video_id": "001", "frames": {"00000": {"valence": -3, "arousal": 4,
                     "landmarks": [[x, y], ... the 68 points of iBUG]}, ...}}

It has no events, no frame rate and no split. Each clip becomes the events of a camera that stands still and looks at
a square window around everywhere the face goes; folds keep an actor in one place. Labels are constant in many clips,
so correlations are taken over all frames of a fold, never clip by clip.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datasets import simulator
from datasets.landmarks import head_boxes, smoothed, still_window
from datasets.recipe import ClipJob, Made, Recipe
from datasets.sample import Sample
from datasets.simulator import PixelModel
from datasets.simulator.interpolate import How, interpolated
from datasets.splits import folds_by_group
from neuva import NeuvaError, __version__

log = logging.getLogger(__name__)

SIDE = 192
"""Pixels along a side of the sensor: a face of 128, and a quarter of a face on each side for it to move in. The face
of a clip that moves farther is smaller by as much as its window must be wider."""

FOLDS = 5
"""As in published results on these clips."""

CLIPS = 600

CURE = (
    "ask for AFEW-VA at https://ibug.doc.ic.ac.uk/resources/afew-va-database and unpack its 12 archives into one "
    "folder, which then holds 001/001.json, 001/00000.png, ... up to 600"
)


AGAIN = "unpack the clip's archive again, or remove its folder to leave the clip out"


@dataclass(frozen=True)
class Annotation:
    """What a clip's JSON tells.

    numbers: int64 [M], the labelled frames, increasing. labels: float32 [M, 2], valence and arousal in [-1, 1].
    landmarks: float64 [M, 68, 2], x and y in the picture's pixels.
    """

    actor: str
    numbers: np.ndarray
    labels: np.ndarray
    landmarks: np.ndarray


def recipe(root: Path, *, preset: str = "v2e", interpolate: How = "none", fps: float = 25.0, seed: int = 0) -> Recipe:
    """AFEW-VA in `root` as events; splits "fold0" to "fold4" by actor, balanced by frames.

    Args:
        preset: the simulator's pixels. interpolate: "none", "linear" or "flow" between the frames.
        fps: frames a second, an assumption: the data set does not tell.
        seed: of the simulator; every clip draws its own from it.

    Raises:
        NeuvaError: if there is no clip, an annotation is missing or broken, there are fewer actors than folds, the
            preset or interpolation is unknown, or fps is not positive.
    """
    root, model = Path(root), simulator.preset(preset)
    if not 0 < fps < 1e6:
        raise NeuvaError(
            f"AFEW-VA at {fps} frames a second: allowed is more than 0 and below 1e6 (25 is usual for films)"
        )
    interpolated((), interpolate)  # an unknown word is told now, not by every job
    folders = _clip_folders(root)
    annotations = [read_annotation(folder) for folder in folders]
    actors, sizes = [each.actor for each in annotations], [len(each.numbers) for each in annotations]
    folds = folds_by_group(actors, sizes, FOLDS)
    provenance = {
        "source": "AFEW-VA (Kossaifi et al. 2017), events simulated from its frames",
        "version": __version__,
        "clips": len(folders),
        "preset": preset,
        "model": asdict(model),
        "interpolate": interpolate,
        "fps": fps,
        "seed": seed,
        "notes": [
            "the frame rate is assumed: the data set does not tell it",
            "no actor is in two folds; take correlations over all frames of a fold: many clips' labels are constant",
            "the films' compression leaves blocks, whose edges give events of their own",
        ],
    }
    jobs = [
        ClipJob(folder.name, f"fold{fold}", partial(make_clip, folder, fold, model, interpolate, fps, seed))
        for folder, fold in zip(folders, folds, strict=True)
    ]
    return Recipe("afew-va", (SIDE, SIDE), provenance, jobs, folders)


def make_clip(folder: Path, fold: int, model: PixelModel, interpolate: How, fps: float, seed: int) -> Made:
    """One clip: frame number k lies at ``k / fps`` seconds, also where frames before it are missing.

    A frame that the JSON does not label is masked and its landmarks are interpolated in time; a label without its
    frame is left out. Arrays: frames uint8 [N, SIDE, SIDE] and landmarks float32 [N, 68, 2] in the sensor's pixels.

    Raises:
        NeuvaError: if there are fewer than 2 frames, none is labelled, one cannot be read or has another size, or the
            landmarks lie far outside the picture.
    """
    annotation = read_annotation(folder)
    numbers, pictures = _read_pictures(folder)
    place = np.searchsorted(annotation.numbers, numbers).clip(max=len(annotation.numbers) - 1)
    mask = annotation.numbers[place] == numbers
    _check(folder, mask, len(annotation.numbers))
    landmarks = _at(numbers, annotation.numbers, annotation.landmarks)
    boxes = smoothed(head_boxes(landmarks), 1e6 / fps)
    _check_place(folder, boxes, numbers, pictures[0].shape)
    window = still_window(boxes, SIDE)
    frames = np.stack([window.cut(picture, SIDE) for picture in pictures])
    times = np.rint(numbers * (1e6 / fps)).astype(np.int64)
    seen, dated = itertools.tee(interpolated(zip(frames, times.tolist(), strict=True), interpolate))
    own_seed = int(np.random.SeedSequence([seed, int(folder.name)]).generate_state(1)[0])
    events = simulator.simulate((frame for frame, _ in seen), (t_us for _, t_us in dated), model, own_seed)
    meta = {
        "start_us": int(times[0]),
        "end_us": int(times[-1]),
        "video_id": folder.name,
        "actor": annotation.actor,
        "subject": annotation.actor,
        "fold": fold,
        "window": [window.left, window.top, window.side],
        "face_track": {"times": times.tolist(), "boxes": np.round(window.boxes(boxes, SIDE), 3).tolist()},
    }
    labels = np.where(mask[:, None], annotation.labels[place], np.float32(0))
    arrays = {"frames": frames, "landmarks": window.points(landmarks, SIDE).astype(np.float32)}
    return Sample(events, times, labels, mask, meta), arrays


def read_annotation(folder: Path) -> Annotation:
    """The JSON of a clip's folder.

    Raises:
        NeuvaError: if it is missing or not as published: an actor, and frames by number, each with valence and
            arousal from -10 to 10 and 68 landmarks.
    """
    path = folder / f"{folder.name}.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        actor, frames = told["actor"].strip(), {int(number): frame for number, frame in told["frames"].items()}
    except FileNotFoundError as error:
        raise NeuvaError(f"{path}: is missing: {AGAIN}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NeuvaError(f"{path}: is no annotation of AFEW-VA ({error!r}): {AGAIN}") from error
    if not actor or not frames or not 0 <= min(frames) <= max(frames) < 1e6:
        raise NeuvaError(f"{path}: tells no actor or no frames with a number: {AGAIN}")
    numbers = sorted(frames)
    rows = [_labels_and_landmarks(f"{path}: frame {number}", frames[number]) for number in numbers]
    labels, landmarks = (np.stack(column) for column in zip(*rows, strict=True))
    return Annotation(actor, np.array(numbers, np.int64), labels, landmarks)


def _labels_and_landmarks(where: str, frame: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    try:
        labels = np.array([frame["valence"], frame["arousal"]], np.float32) / 10
        landmarks = np.array(frame["landmarks"], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise NeuvaError(f"{where} is not annotated as published ({error!r}): {AGAIN}") from error
    if not np.all(np.abs(labels) <= 1):
        raise NeuvaError(f"{where} has valence and arousal {(labels * 10).tolist()}; allowed -10 to 10: {AGAIN}")
    if landmarks.shape != (68, 2) or not np.isfinite(landmarks).all() or not np.ptp(landmarks, axis=0).all():
        raise NeuvaError(f"{where} has landmarks {list(landmarks.shape)}; needed 68 places (x, y): {AGAIN}")
    return labels, landmarks


def _clip_folders(root: Path) -> list[Path]:
    """Folders named by three digits, in order; `001_cropped`, found in some copies, holds the same clip again."""
    found: dict[str, Path] = {}
    for folder in sorted(itertools.chain(root.glob("*"), root.glob("*/*"))):
        if re.fullmatch(r"\d{3}", folder.name) and folder.is_dir():
            if folder.name in found:
                raise NeuvaError(f"{folder}: clip {folder.name} is also at {found[folder.name]}: remove one of them")
            found[folder.name] = folder
    if not found:
        raise NeuvaError(f"{root}: holds no clip of AFEW-VA: {CURE}")
    if len(found) < CLIPS:
        log.warning("%s: %d of AFEW-VA's %d clips are there", root, len(found), CLIPS)
    return [found[name] for name in sorted(found)]


def _read_pictures(folder: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Numbers int64 [N] and grey pictures uint8 [H, W] of the frames on disk, in order."""
    files = sorted((int(file.stem), file) for file in folder.glob("*.png") if re.fullmatch(r"\d{1,6}", file.stem))
    pictures: list[np.ndarray] = []
    for _, file in files:
        picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise NeuvaError(f"{file}: cannot be read as an image: {AGAIN}")
        if pictures and picture.shape != pictures[0].shape:
            raise NeuvaError(
                f"{file}: is {picture.shape[1]}x{picture.shape[0]}, the first frame "
                f"{pictures[0].shape[1]}x{pictures[0].shape[0]}: {AGAIN}"
            )
        pictures.append(picture)
    return np.array([number for number, _ in files], np.int64), pictures


def _check(folder: Path, mask: np.ndarray, labels: int) -> None:
    """Enough frames, one of them labelled; what does not match is told."""
    frames, both = len(mask), int(np.count_nonzero(mask))
    if frames < 2 or both < 1:
        raise NeuvaError(f"{folder}: {frames} frames, {both} of them labelled; needed 2 and 1: {AGAIN}")
    if both < frames or both < labels:
        log.warning("%s: %d frames have no label, %d labels have no frame", folder, frames - both, labels - both)


def _check_place(folder: Path, boxes: np.ndarray, numbers: np.ndarray, shape: tuple[int, ...]) -> None:
    """A face may leave the picture, but not by more than the picture's size: such landmarks are broken."""
    size = np.array(shape[::-1])
    far = ~np.all((boxes[:, :2] > -size) & (boxes[:, :2] < 2 * size) & (boxes[:, 2:] < 4 * size), axis=1)
    if far.any():
        number, box = numbers[far][0], boxes[far][0].round().tolist()
        raise NeuvaError(
            f"{folder / folder.name}.json: frame {number} has its face at {box[:2]}, {box[2]:g} wide, in a picture of "
            f"{size[0]}x{size[1]}: {AGAIN}"
        )


def _at(numbers: np.ndarray, known: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Landmarks [M, 68, 2] of the frames `known`, interpolated to `numbers`: [N, 68, 2]."""
    columns = [np.interp(numbers, known, column) for column in landmarks.reshape(len(known), -1).T]
    return np.stack(columns, axis=1).reshape(-1, *landmarks.shape[1:])
