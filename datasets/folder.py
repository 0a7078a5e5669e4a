"""One's own recordings: a folder of event files, and a CSV table of labels beside them.

    file,time_s,valence,arousal,subject
    anna/smile.raw,0.04,0.35,0.1,anna

Columns: file (relative to the folder), time_us (whole microseconds) or time_s, valence and arousal in [-1, 1];
optional valid (1, 0, true or false), subject and split. Rows may be in any order.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from datasets.crop import rescale
from datasets.events import Events
from datasets.face_track import track_activity
from datasets.files import FORMATS, read_events, stream_events
from datasets.files.registry import format_of
from datasets.label_table import Labelled, read_labels
from datasets.recipe import ClipJob, Made, Recipe
from datasets.sample import Sample
from datasets.splits import shared_groups, split_by_group
from neuva import NeuvaError, __version__

log = logging.getLogger(__name__)

Clock = Literal["recording", "start"]
Face = Literal["activity", "whole"]
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


@dataclass(frozen=True)
class Reading:
    """How the recordings are read.

    clock: "recording", label times are on each recording's own clock; "start", they count from its first event.
    face: "activity", the face is the busiest square of the events, tracked; "whole", it fills the picture.
    sensor_size: (width, height) of the recordings that do not tell it.
    rescale_to: (width, height) all recordings are scaled down to; None: they must be of one size.
    repair: sort and drop bad events, keep what stands before damage.
    """

    clock: Clock
    face: Face
    sensor_size: tuple[int, int] | None
    rescale_to: tuple[int, int] | None
    repair: bool

    def __post_init__(self) -> None:
        for name, value, known in (("clock", self.clock, get_args(Clock)), ("face", self.face, get_args(Face))):
            if value not in known:
                raise NeuvaError(f'{name} "{value}" is not known: choose {" or ".join(known)}')


def recipe(
    root: Path,
    *,
    labels: Path | None = None,
    clock: Clock = "recording",
    face: Face = "activity",
    sensor_size: tuple[int, int] | None = None,
    rescale_to: tuple[int, int] | None = None,
    repair: bool = False,
    seed: int = 0,
) -> Recipe:
    """A folder of recordings in any event format as it goes into a store, one clip a labelled file.

    The split is that of the column `split`; without one, subjects (without them, files) are dealt out, so that none
    is in two splits: 70 % train, 10 % validation, 20 % test.

    Args:
        root: the folder.
        labels: the table, `labels.csv` in the folder unless given.
        clock, face, sensor_size, rescale_to, repair: see `Reading`.
        seed: of the split.

    Raises:
        NeuvaError: if the table breaks a rule (the line is named), a file is missing, or sensor sizes differ.
    """
    reading = Reading(clock, face, sensor_size, rescale_to, repair)
    table = Path(root, "labels.csv") if labels is None else Path(labels)
    clips = read_labels(table)
    _require_files(Path(root), table, clips)
    splits, notes = _splits(table, clips, seed)
    jobs = [
        ClipJob(clip.file, split, partial(make_clip, Path(root, clip.file), clip, reading))
        for clip, split in zip(clips, splits, strict=True)
    ]
    provenance = {
        "source": f"folder of recordings, labels {table.name}",
        "version": __version__,
        "labels_sha256": sha256(table.read_bytes()).hexdigest(),
        **vars(reading),
        "seed": seed,
        "notes": notes,
    }
    inputs = [table, *(Path(root, clip.file) for clip in clips)]
    return Recipe("folder", _common_size(Path(root), clips, reading), provenance, jobs, inputs)


def make_clip(path: Path, clip: Labelled, reading: Reading) -> Made:
    """Read a recording and put its labels on its clock.

    Raises:
        NeuvaError: if it cannot be read, is empty, none of its labels lies within it, or no face stands out.
    """
    events = read_events(path, sensor_size=_untold_size(path, reading), repair=reading.repair)
    if not len(events):
        raise NeuvaError(f"{path}: holds no events: take its rows out of the labels")
    if reading.rescale_to is not None and events.sensor_size != reading.rescale_to:
        events = _rescaled(path, events, reading.rescale_to)
    times = clip.times + (events.t0 if reading.clock == "start" else 0)
    outside = int(np.count_nonzero((times < events.t0) | (times > events.t1)))
    if outside == len(times):
        cure = "give times on its own clock" if reading.clock == "start" else "count them from its start (clock=start)"
        raise NeuvaError(
            f"{path}: its labels are at {times[0]}..{times[-1]} us, its events at {events.t0}..{events.t1} us: {cure}"
        )
    if outside:
        log.warning("%s: %d of %d labels lie before its first or after its last event", path, outside, len(times))
    meta: dict[str, Any] = {"start_us": events.t0, "end_us": events.t1}
    if clip.subject is not None:
        meta["subject"] = clip.subject
    if reading.face == "activity":
        meta["face_track"] = _face_track(path, events)
    return Sample(events, times, clip.labels, clip.mask, meta), {}


def _face_track(path: Path, events: Events) -> dict[str, list]:
    try:
        track = track_activity(events)
    except NeuvaError as error:
        raise NeuvaError(f"{path}: {error}; or, where the face fills the picture, say so (face=whole)") from error
    return {"times": track.times.tolist(), "boxes": np.round(track.boxes, 3).tolist()}


def _rescaled(path: Path, events: Events, size: tuple[int, int]) -> Events:
    (width, height), (new_width, new_height) = events.sensor_size, size
    if abs(width * new_height - height * new_width) > 0.02 * width * new_height:
        log.warning("%s: %dx%d to %dx%d squeezes the picture", path, width, height, new_width, new_height)
    try:
        return rescale(events, size)
    except NeuvaError as error:
        raise NeuvaError(f"{path}: {error}") from error


def _require_files(root: Path, table: Path, clips: list[Labelled]) -> None:
    missing = [clip for clip in clips if not (root / clip.file).is_file()]
    if missing:
        first = missing[0]
        raise NeuvaError(
            f"{table}: {len(missing)} of {len(clips)} recordings are not in {root}, the first {first.file} "
            f"(line {first.line}): copy them there, or take out their rows"
        )


def _splits(table: Path, clips: list[Labelled], seed: int) -> tuple[list[str], list[str]]:
    """The split of each clip, and what must be known of it."""
    subjects = [clip.subject for clip in clips if clip.subject is not None]
    groups = subjects or [clip.file for clip in clips]
    what = "subject" if subjects else "file"
    given = [clip.split for clip in clips if clip.split is not None]
    if given:
        shared = shared_groups(groups, given)
        if shared:
            note = f"{len(shared)} of {len(set(groups))} subjects are in more than one split"
            log.warning("%s: %s: results are for people seen in training", table, note)
            return given, [note]
        return given, [f"the table's own split; no {what} is in two"]
    if len(set(groups)) < len(SHARES):
        raise NeuvaError(
            f"{table}: {len(set(groups))} {what}s cannot be dealt out to {', '.join(SHARES)}: "
            f"add a column split, or record more {what}s"
        )
    return split_by_group(groups, SHARES, seed), [f"no {what} is in two splits"]


def _common_size(root: Path, clips: list[Labelled], reading: Reading) -> tuple[int, int]:
    if reading.rescale_to is not None:
        return reading.rescale_to
    paths = {clip.file: root / clip.file for clip in clips}
    sizes = {
        file: stream_events(path, sensor_size=_untold_size(path, reading)).sensor_size for file, path in paths.items()
    }
    first, size = next(iter(sizes.items()))
    for file, other in sizes.items():
        if other != size:
            raise NeuvaError(
                f"{root}: {first} is {size[0]}x{size[1]}, {file} {other[0]}x{other[1]}: "
                "rescale all to one size (rescale_to=)"
            )
    return size


def _untold_size(path: Path, reading: Reading) -> tuple[int, int] | None:
    """The size to ask of a recording: none of one that tells its own."""
    told = FORMATS[format_of(path)].open(path).sensor_size
    return reading.sensor_size if told is None else None
