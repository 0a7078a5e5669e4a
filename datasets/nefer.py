"""NEFER: people who watch films, by an event camera (Berlincioni et al., CVPR workshops 2023, arXiv:2304.06351).

As published:

    annotations/expected_emotions/{train,validation}_event.csv               what the film should cause
    annotations/reported_emotions/{train,validation}_event_subjective.csv    what the person felt
    event_raw/user_01/user01_2022-06-08_12-20-03.raw                         EVT3, 1280x720
    rgb_frames/user_01/GOPR0762/frame_00.png ... frame_50.png                may be absent, as the *_gopro.csv

A CSV has no header and a row a frame: user, clip, path, emotion. Its paths are of another place and are not used. The
clip's name ends in `_cd`, which its recording's may do or not. The data set has emotions and no valence and arousal:
its labels are masked, and the emotions are in a clip's meta. Train and validation share no user; there is no test.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np

from datasets.face_track import track_activity
from datasets.files import read_events
from datasets.recipe import ClipJob, Made, Recipe
from datasets.sample import Sample
from neuva import NeuvaError, __version__

log = logging.getLogger(__name__)

SENSOR = (1280, 720)
"""Clips keep the camera's own pixels: the face is cut out and scaled when they are loaded."""

EMOTIONS = ("Disgust", "Contempt", "Happiness", "Fear", "Anger", "Surprise", "Sadness")
"""Expected emotions; people may also report "None"."""

USERS = {
    "train": (1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 25, 26),
    "validation": (3, 7, 17, 19, 27, 28),
}
"""The data set's own split."""

SPLIT_OF = {f"user_{number:02d}": split for split, numbers in USERS.items() for number in numbers}

LISTS = ("expected_emotions", "reported_emotions")

FRAME_RATE = 30
"""Frames a second of its lists; 51 of them take 1.7 s. Inferred: the data set does not tell it."""

FRAME_HEIGHT = 180
"""Pixels down the RGB frames kept beside the events: to look at, not to learn from."""

CURE = (
    "download NEFER by the link at https://github.com/miccunifi/NEFER and unpack it, so that the folder holds "
    "event_raw/user_01/*.raw and annotations/expected_emotions/train_event.csv"
)

Labels = Literal["expected", "reported"]


@dataclass(frozen=True)
class Listed:
    """A clip in the lists: who, how many frames, and the emotion."""

    user: str
    frames: int
    emotion: str


def recipe(root: Path, *, labels: Labels = "expected", repair: bool = False) -> Recipe:
    """NEFER in `root`; splits "train" and "validation" by user, as published.

    Clips whose recording is not there are left out: logged, and listed in the provenance.

    Args:
        labels: the emotion that is a clip's meta["emotion"]; both are kept, as emotion_expected and emotion_reported.
        repair: take of a damaged recording what can be read.

    Raises:
        NeuvaError: if a list or every recording is missing, a list is not as published, a clip is in one list only,
            a clip has two recordings, or labels is neither word.
    """
    root = Path(root)
    if labels not in get_args(Labels):
        raise NeuvaError(f"NEFER's labels {labels!r} are not known: choose one of {', '.join(get_args(Labels))}")
    expected = _read_lists(root, LISTS[0], "event", EMOTIONS)
    reported = _read_lists(root, LISTS[1], "event_subjective", (*EMOTIONS, "None"))
    if alone := sorted(expected.keys() ^ reported.keys()):
        raise NeuvaError(
            f"{root / 'annotations'}: clip {alone[0]} and {len(alone) - 1} more are in one of the expected and the "
            "reported lists only: unpack the annotations again"
        )
    recordings, missing = _recordings(root, expected)
    pictures = _picture_files(root, expected)
    jobs = []
    for clip, recording in recordings.items():
        listed = expected[clip]
        emotions = {"expected": listed.emotion, "reported": reported[clip].emotion}
        meta = {"subject": listed.user, "user": listed.user, "clip": clip, "emotion": emotions[labels]}
        meta |= {f"emotion_{kind}": emotion for kind, emotion in emotions.items()}
        make = partial(make_clip, recording, listed.frames, meta, pictures.get(clip, []), repair)
        jobs.append(ClipJob(f"{listed.user}/{clip}", SPLIT_OF[listed.user], make))
    provenance = {
        "source": "NEFER (Berlincioni et al. 2023), recorded events",
        "version": __version__,
        "clips": len(jobs),
        "left_out": missing,
        "emotion": labels,
        "repair": repair,
        "notes": [
            "emotions only: valence and arousal are masked",
            "published split by user into train and validation, without a test",
            f"the lists' frames are taken to be {1e6 / FRAME_RATE:.0f} us long, from a recording's first event",
        ],
    }
    inputs = [root / "annotations" / folder for folder in LISTS]
    inputs += [*recordings.values(), *(files[0].parent for files in pictures.values())]
    return Recipe("nefer", SENSOR, provenance, jobs, inputs)


def make_clip(recording: Path, frames: int, meta: Mapping[str, Any], pictures: Sequence[Path], repair: bool) -> Made:
    """One clip on its recording's clock; label k of the lists' `frames` lies at its frame's end, (k + 1) / 30 s.

    Arrays: frames uint8 [N, FRAME_HEIGHT, W], the RGB frames in grey, where they are there. They are another
    camera's: neither their pixels nor their times are those of the events.

    Raises:
        NeuvaError: if the recording is damaged (and not `repair`), is from another sensor or shows no face moving, or
            a picture cannot be read or is of another shape than the first.
    """
    events = read_events(recording, sensor_size=SENSOR, repair=repair)
    try:
        track = track_activity(events)
    except NeuvaError as error:
        raise NeuvaError(f"{recording}: {error}; or remove it to leave the clip out") from error
    times = events.t0 + np.rint(np.arange(1, frames + 1) * (1e6 / FRAME_RATE)).astype(np.int64)
    found = {
        "start_us": events.t0,
        "end_us": events.t1,
        "face_track": {"times": track.times.tolist(), "boxes": np.round(track.boxes, 3).tolist()},
    }
    unlabelled = np.zeros((frames, 2), np.float32), np.zeros(frames, bool)
    arrays = {"frames": _stack(pictures)} if pictures else {}
    return Sample(events, times, *unlabelled, {**meta, **found}), arrays


def _read_lists(root: Path, folder: str, ending: str, known: tuple[str, ...]) -> dict[str, Listed]:
    """Both splits' lists of one kind: every clip, in their order."""
    found: dict[str, Listed] = {}
    for split in USERS:
        found |= _read_list(root / "annotations" / folder / f"{split}_{ending}.csv", split, known)
    return found


def _read_list(path: Path, split: str, known: tuple[str, ...]) -> dict[str, Listed]:
    if not path.is_file():
        raise NeuvaError(f"{path}: is missing: {CURE}")
    found: dict[str, Listed] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise NeuvaError(f"{path}: cannot be read as CSV ({error}): unpack the annotations again") from error
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        user, clip, _, emotion = _checked(f"{path}: line {number}", row, split, known)
        before = found.get(clip, Listed(user, 0, emotion))
        if (before.user, before.emotion) != (user, emotion):
            raise NeuvaError(
                f"{path}: line {number} has clip {clip} as {user}, {emotion}, a line above as {before.user}, "
                f"{before.emotion}: unpack the annotations again"
            )
        found[clip] = Listed(user, before.frames + 1, emotion)
    return found


def _checked(where: str, row: list[str], split: str, known: tuple[str, ...]) -> list[str]:
    row = [cell.strip() for cell in row]
    if len(row) != 4 or not row[1]:
        raise NeuvaError(f"{where} is {row}; needed user, clip, path, emotion: unpack the annotations again")
    if SPLIT_OF.get(row[0]) != split:
        raise NeuvaError(f"{where} has {row[0]}, no user of {split} as published: unpack the annotations again")
    if row[3] not in known:
        raise NeuvaError(f"{where} has emotion {row[3]!r}; known are {', '.join(known)}: unpack the annotations again")
    return row


def _recordings(root: Path, listed: Mapping[str, Listed]) -> tuple[dict[str, Path], list[str]]:
    """The listed clips' recordings, and the clips without; recordings that no list names are left alone."""
    there: dict[str, list[Path]] = {}
    for file in sorted(root.rglob("*.raw")):
        there.setdefault(file.stem.removesuffix("_cd"), []).append(file)
    files = {clip: there.get(clip.removesuffix("_cd"), []) for clip in listed}
    for clip, same in files.items():
        if len(same) > 1:
            raise NeuvaError(f"{same[1]}: is clip {clip} again, which is also at {same[0]}: remove one of them")
    found = {clip: same[0] for clip, same in files.items() if same}
    missing = sorted(files.keys() - found.keys())
    if not found:
        raise NeuvaError(f"{root}: holds none of the {len(listed)} recordings (*.raw): {CURE}")
    if missing:
        log.warning("%s: %d of %d recordings are missing, the first %s", root, len(missing), len(files), missing[0])
    return found, missing


def _picture_files(root: Path, listed: Mapping[str, Listed]) -> dict[str, list[Path]]:
    """The RGB frames of the clips that have them.

    Nothing published says which RGB clip is of which recording: a user's are paired in the order of their names,
    which is that of time, where their emotions then agree.
    """
    lists = [root / "annotations" / LISTS[0] / f"{split}_gopro.csv" for split in USERS]
    if not (root / "rgb_frames").is_dir() or not all(path.is_file() for path in lists):
        return {}
    filmed = _read_lists(root, LISTS[0], "gopro", EMOTIONS)
    found = {}
    for user in SPLIT_OF:
        clips, films = ([clip for clip in sorted(each) if each[clip].user == user] for each in (listed, filmed))
        if [listed[clip].emotion for clip in clips] != [filmed[film].emotion for film in films]:
            log.warning("%s: RGB clips of %s are not those of its recordings and are left out", root, user)
            continue
        for clip, film in zip(clips, films, strict=True):
            folder = root / "rgb_frames" / user / film
            if folder.is_dir():
                found[clip] = [folder / f"frame_{number:02d}.png" for number in range(listed[clip].frames)]
    return found


def _stack(files: Sequence[Path]) -> np.ndarray:
    pictures = [_grey(file) for file in files]
    for file, picture in zip(files, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            size, first = (f"{width}x{height}" for height, width in (picture.shape, pictures[0].shape))
            raise NeuvaError(
                f"{file}: is {size} when scaled, {files[0].name} {first}: unpack it again, or remove rgb_frames to do "
                "without"
            )
    return np.stack(pictures)


def _grey(file: Path) -> np.ndarray:
    picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise NeuvaError(f"{file}: cannot be read as an image: unpack it again, or remove rgb_frames to do without")
    height, width = picture.shape
    return cv2.resize(picture, (round(width * FRAME_HEIGHT / height), FRAME_HEIGHT), interpolation=cv2.INTER_AREA)
