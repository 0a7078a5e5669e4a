"""Contact sheets: a store's clips, or one recording at several moments."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from datasets.events import Events
from datasets.pictures import event_picture
from datasets.store import EventStore
from experiments.plots import contact_sheet, faces_and_events, save_png
from neuva import NeuvaError

WINDOW_US = 40_000
MOMENTS = 6


def events_sheet(events: Events, start: int, stop: int, title: str, path: Path) -> None:
    """Write the events between two times as pictures of six equal stretches."""
    edges = np.linspace(start, stop, MOMENTS + 1).astype(np.int64)
    pictures = [event_picture(events, int(a), int(b)) for a, b in pairwise(edges)]
    captions = [f"{(a - start) / 1e6:.3f} to {(b - start) / 1e6:.3f} s" for a, b in pairwise(edges)]
    save_png(contact_sheet(np.stack(pictures), captions, title, columns=3), path)


def clip_moments(store: EventStore, clips: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """One moment of each of `clips` clips: frames [K, H, W], event pictures [K, H, W, 3], captions.

    The moment is where the clip is furthest from neutral.

    Raises:
        NeuvaError: if the store keeps no frames or labels.
    """
    frames, pictures, captions = [], [], []
    for index in np.unique(np.linspace(0, len(store) - 1, min(clips, len(store))).astype(int)):
        sample = store.sample(int(index))
        if not len(sample.labels):
            raise NeuvaError(f"{store.names[index]}: has no labels to show: use `neuva events show`")
        k = int(np.argmax(np.linalg.norm(sample.labels, axis=1)))
        time = int(sample.label_times[k])
        frames.append(store.arrays(int(index), "frames")[k])
        pictures.append(event_picture(sample.events, time - WINDOW_US, time))
        v, a = sample.labels[k]
        captions.append(f"valence {v:+.1f}\narousal {a:+.1f}")
    return np.stack(frames), np.stack(pictures), captions


def store_sheet(path: Path, out: Path, clips: int = 8) -> None:
    """Write frames and events of a store's clips as a picture."""
    save_png(faces_and_events(*clip_moments(EventStore(path), clips)), out)
