"""Pictures of a store's clips, their events or their faces, and of one recording at several moments."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from datasets.aff_wild2 import frames_of
from datasets.events import Events
from datasets.pictures import LIGHT, OFF, ON, event_picture
from datasets.sample import Sample
from datasets.store import EventStore
from experiments.plots import events_grid, faces_and_events, faces_grid, save_png
from neuva import NeuvaError

WINDOW_US = 40_000
MOMENTS = 6


def events_sheet(events: Events, start: int, stop: int, title: str, path: Path, zero: int) -> None:
    """Write the events between two times as pictures of six equal stretches, their times told from `zero` on."""
    edges = np.linspace(start, stop, MOMENTS + 1).astype(np.int64)
    pictures = [event_picture(events, int(a), int(b)) for a, b in pairwise(edges)]
    captions = [f"{(a - zero) / 1e6:.3f} to {(b - zero) / 1e6:.3f} s" for a, b in pairwise(edges)]
    save_png(events_grid(np.stack(pictures), captions, title, columns=3), path)


def clip_moments(store: EventStore, clips: int) -> tuple[np.ndarray | None, np.ndarray, list[str]]:
    """One moment of each of `clips` clips: frames [K, H, W], event pictures [K, H, W, 3], captions.

    The moment is where the clip is furthest from neutral, its middle where it has no labels. Frames are None unless
    every clip has one of its moment. Where a data set gives event frames in place of events, those are shown.

    Raises:
        NeuvaError: if the store holds no clips.
    """
    frames, pictures, captions = [], [], []
    for index in _spread(store, clips):
        sample = store.sample(index)
        row = _furthest(sample)
        time = (sample.events.t0 + sample.events.t1) // 2 if row is None else int(sample.label_times[row])
        place = len(sample.label_times) // 2 if row is None else row
        polarities = None if len(sample.events) else _kept(store, index, "event_frames", place)
        pictures.append(
            event_picture(sample.events, time - WINDOW_US, time) if polarities is None else _coloured(polarities)
        )
        captions.append(_class(store, index) if row is None else _affect(*sample.labels[row]))
        frames.append(_kept(store, index, "frames", place))
    shown = [frame for frame in frames if frame is not None]
    return np.stack(shown) if len(shown) == len(frames) else None, np.stack(pictures), captions


def face_moments(store: EventStore, clips: int) -> tuple[np.ndarray, list[str]]:
    """The faces of `clips` clips, each at `MOMENTS` of its labels from first to last: [K, H, W(, 3)], and captions.

    Raises:
        NeuvaError: if the store holds no clips, or one of them no faces.
    """
    faces, captions = [], []
    for index in _spread(store, clips):
        times, labels, mask = store.labels(index)
        rows = np.linspace(0, len(times) - 1, MOMENTS).astype(int)
        faces.append(_faces(store, index, rows))
        for row in rows.tolist():
            affect = _affect(*labels[row]) if mask[row] else "\n"
            captions.append(f"{store.names[index]}, {(times[row] - times[0]) / 1e6:.1f} s\n{affect}")
    return np.concatenate(faces), captions


def store_sheet(path: Path, out: Path) -> None:
    """Write what a store's clips show as a picture: frames, where they are kept, and events; without events, faces."""
    store = EventStore(path)
    title = f"{path.name}: {store.dataset}"
    if len(store) and not any(store.event_counts) and "event_frames" not in store.array_kinds(0):
        save_png(faces_grid(*face_moments(store, 4), title, columns=MOMENTS), out)
    else:
        save_png(faces_and_events(*clip_moments(store, 8), title=title), out)


def _spread(store: EventStore, clips: int) -> list[int]:
    """At most that many clips from the store's first to its last."""
    if not len(store):
        raise NeuvaError(f"{store.path}: holds no clips: there is nothing to show")
    return np.unique(np.linspace(0, len(store) - 1, min(clips, len(store))).astype(int)).tolist()


def _faces(store: EventStore, index: int, rows: np.ndarray) -> np.ndarray:
    """The faces kept with labels number `rows` of a clip, as JPEG or as they are."""
    kinds = store.array_kinds(index)
    if "jpeg" in kinds and len(rows):
        return frames_of(store, index, rows)
    if "frames" in kinds and len(rows):
        return store.arrays(index, "frames")[rows]
    raise NeuvaError(f"{store.path}: clip {store.names[index]} has neither events nor faces: there is nothing to show")


def _furthest(sample: Sample) -> int | None:
    """Row of the valid label furthest from neutral, None where there is none."""
    if not sample.mask.any():
        return None
    return int(np.argmax(np.where(sample.mask, np.linalg.norm(sample.labels, axis=1), -1)))


def _kept(store: EventStore, index: int, key: str, place: int) -> np.ndarray | None:
    """The picture kept with a label, None where the clip keeps none."""
    try:
        return store.arrays(index, key)[place]
    except (NeuvaError, IndexError):
        return None


def _coloured(polarities: np.ndarray) -> np.ndarray:
    """An event frame on grey ground, uint8 [H, W], in the colours of all pictures of events."""
    shown = np.full((*polarities.shape, 3), LIGHT, np.uint8)
    shown[polarities > 191], shown[polarities < 64] = ON, OFF
    return shown


def _class(store: EventStore, index: int) -> str:
    """What a clip without valence and arousal shows, its name where that is not told."""
    meta = store.meta(index)
    if "emotion" not in meta:
        return store.names[index]
    return "\n".join(str(meta[key]) for key in ("lighting", "emotion") if key in meta)


def _affect(valence: float, arousal: float) -> str:
    return f"valence {valence:+.1f}\narousal {arousal:+.1f}"
