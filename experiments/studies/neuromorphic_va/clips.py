"""Clips as rows of pictures with labels, written once and read by every job that trains or tests on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datasets.crop import BoxTrack
from datasets.representations import ToTemporalBinary, to_steps
from datasets.splits import folds_by_group
from datasets.store import EventStore
from experiments.clips import Cut, EventClip, crop_face, nearest
from experiments.studies.arrays import new_array
from experiments.studies.neuromorphic_va.config import NeuromorphicVa
from experiments.studies.neuromorphic_va.variants import View
from experiments.studies.stores import is_synthetic
from experiments.studies.study import Progress
from neuva import NeuvaError, atomic_path

PICTURES, LABELS = "pictures.npy", "clips.npz"


@dataclass(frozen=True)
class ClipSet:
    """All clips, one after the other, a row a frame.

    pictures: uint8 or uint16 [N, C, H, W], on disk. names: [K]; folds: [K]. bounds: [K + 1], clip k has rows
    bounds[k] to bounds[k + 1]. times: [N], the frames' ends, microseconds. labels: [N, 2]. mask: [N].
    """

    pictures: np.ndarray
    names: np.ndarray
    folds: np.ndarray
    bounds: np.ndarray
    times: np.ndarray
    labels: np.ndarray
    mask: np.ndarray

    @cached_property
    def clip_of(self) -> np.ndarray:
        """The clip of each row, [N]."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.bounds))

    def rows(self, clip: int) -> slice:
        """A clip's rows."""
        return slice(int(self.bounds[clip]), int(self.bounds[clip + 1]))

    @classmethod
    def read(cls, folder: Path) -> ClipSet:
        """What `make_clips` wrote; pictures are read from disk when they are needed."""
        with np.load(folder / LABELS) as columns:
            return cls(np.load(folder / PICTURES, mmap_mode="r"), **columns)


def clips_job(view: View) -> str:
    """The job that writes the store's clips as they are seen."""
    return f"clips-{view.name}-{view.side}"


def make_clips(store: Path, config: NeuromorphicVa, view: View, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write the store's clips as a model sees them; a clip without one whole frame is an error.

    Raises:
        NeuvaError: as `EventClip.of`, or if a clip has no frames and these are what is seen.
    """
    events, fold_of = EventStore(store), folds_of(EventStore(store), config)
    lengths = [len(_ends(events, clip, config.pictures.frame_us)) for clip in fold_of]
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    columns: dict[str, list[np.ndarray]] = {"times": [], "labels": [], "mask": []}
    shape = (int(bounds[-1]), view.channels, view.side, view.side)
    with atomic_path(folder / PICTURES) as temporary:
        pictures = new_array(temporary, view.dtype, shape)
        for number, clip in enumerate(fold_of):
            progress(f"cutting {view.name}", number, len(fold_of))
            seen, *labelled = _clip(events, clip, config.pictures.frame_us, view)
            pictures[bounds[number] : bounds[number + 1]] = seen
            for column, values in zip(columns.values(), labelled, strict=True):
                column.append(values)
        pictures.flush()
    names = np.array([events.names[clip] for clip in fold_of])
    folds = np.array(list(fold_of.values()), np.int64)
    with atomic_path(folder / LABELS) as temporary:
        joined: dict[str, Any] = {key: np.concatenate(parts) for key, parts in columns.items()}
        np.savez(temporary, names=names, folds=folds, bounds=bounds, **joined)
    return {"clips": len(names), "frames": int(bounds[-1]), **provenance(events)}


def folds_of(store: EventStore, config: NeuromorphicVa) -> dict[int, int]:
    """The clips that are taken, and the fold of each: the store's own "fold0", ..., else by subject.

    A store of emotions alone (NEFER) is taken whole, all of it fold 0: nothing is trained on it.

    Raises:
        NeuvaError: if a fold of the store's own is missing, a clip tells no subject, or there are fewer subjects than
            folds.
    """
    if store.dataset == "nefer":
        return dict.fromkeys(range(len(store)), 0)
    most = config.clips_at_most or len(store)
    clips = np.linspace(0, len(store) - 1, min(most, len(store))).astype(int).tolist()
    named = [re.fullmatch(r"fold(\d+)", store.splits[clip]) for clip in clips]
    if all(named):
        folds = [int(match[1]) for match in named if match]
        if set(folds) != set(range(config.folds)):
            raise NeuvaError(
                f"{store.path}: has clips of folds {sorted(set(folds))}, needed are 0 to {config.folds - 1}: make the "
                "store of all clips, or change folds or clips_at_most in the configuration"
            )
        return dict(zip(clips, folds, strict=True))
    metas = [store.meta(clip) for clip in clips]
    for clip, meta in zip(clips, metas, strict=True):
        if "subject" not in meta:
            raise NeuvaError(f"{store.path}: clip {store.names[clip]} tells no subject: folds must not share people")
    subjects, sizes = [meta["subject"] for meta in metas], [len(store.labels(clip)[0]) for clip in clips]
    if config.folds > len(set(subjects)):
        raise NeuvaError(
            f"{store.path}: folds = {config.folds}, but the {len(clips)} clips taken show {len(set(subjects))} people, "
            "and a person is in one fold alone: lower folds in the configuration, or raise clips_at_most"
        )
    return dict(zip(clips, folds_by_group(subjects, sizes, config.folds), strict=True))


def provenance(store: EventStore) -> dict[str, Any]:
    """What tables must tell of where their figures come from."""
    return {"dataset": store.dataset, "synthetic": is_synthetic(store)}


def frame_labels(store: EventStore, clip: int, frame_us: int) -> np.ndarray:
    """Labels [K, 2] of those frames of a clip whose label is valid, without cutting it."""
    times, labels, mask = store.labels(clip)
    rows = nearest(times, _ends(store, clip, frame_us))
    return labels[rows[mask[rows]]]


def _ends(store: EventStore, clip: int, frame_us: int) -> np.ndarray:
    """When each whole frame of a clip ends, without reading its events where its start is known."""
    meta = store.meta(clip)
    start = meta["start_us"] if "start_us" in meta else store.sample(clip).events.t0
    times, *_ = store.labels(clip)
    frames = int(times[-1] - start) // frame_us if len(times) else 0
    return start + frame_us * np.arange(1, frames + 1)


def _clip(
    store: EventStore, clip: int, frame_us: int, view: View
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures [T, C, H, W] of a clip, the times of their ends, and the labels nearest to these, with their mask."""
    shape = (2, view.side, view.side)
    every = 1 if view.kind == "grey" else view.parts
    cut = EventClip.of(store.names[clip], store.sample(clip), Cut(shape, "binary", frame_us // every, every))
    ends = cut.start_us + frame_us * np.arange(1, cut.estimates + 1)
    rows = nearest(cut.label_times, ends)
    if view.kind == "grey":
        frames = store.arrays(clip, "frames")[rows]
        boxes = _boxes(cut.track, ends, frames)
        faces = [face_picture(frame, box, view.side) for frame, box in zip(frames, boxes, strict=True)]
        seen = np.stack(faces)[:, None]
    else:
        seen = event_pictures(cut, frame_us, view)
    return seen, ends, cut.labels[rows], cut.mask[rows]


def event_pictures(cut: EventClip, frame_us: int, view: View) -> np.ndarray:
    """Whole numbers [T, C, side, side]: bits read as one number, or steps one after the other, (OFF, ON) each."""
    events = crop_face(cut.events, cut.track, (2, view.side, view.side))
    dt_us = frame_us // view.parts
    if view.kind == "binary":
        binary = ToTemporalBinary(events.sensor_size, dt_us, view.parts, cut.estimates, cut.start_us)(events.array)
        return np.rint(binary * view.full).astype(view.dtype)
    steps = to_steps(events, dt_us, cut.estimates * view.parts, cut.start_us)
    return steps.reshape(cut.estimates, view.channels, view.side, view.side)


def face_picture(frame: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """The box (centre x, centre y, side) of a grey frame uint8 [H, W], scaled to [side, side]; black outside it."""
    if box[2] > side:  # shrunk by areas first: the warp below looks at four pixels alone
        width = frame.shape[1]
        frame = cv2.resize(frame, None, fx=side / box[2], fy=side / box[2], interpolation=cv2.INTER_AREA)
        box = box * frame.shape[1] / width
    scale = side / box[2]
    left, top = box[:2] - box[2] / 2  # pixel x covers [x, x + 1)
    matrix = np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]])
    return cv2.warpAffine(frame, matrix, (side, side), flags=cv2.INTER_LINEAR)


def _boxes(track: BoxTrack | None, times: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The face's box at these times; the frames' middle square where no face is known."""
    if track is not None:
        return track.at(times)
    height, width = frames.shape[1:3]
    return np.tile([width / 2, height / 2, min(height, width)], (len(times), 1)).astype(float)
