"""The store's pictures in the network's size, made once and read by every training, and clips drawn from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.see import EMOTIONS, LIGHTINGS
from datasets.store import EventStore
from experiments.studies.arrays import new_array
from experiments.studies.seen.config import SeenConfig
from experiments.studies.stores import is_synthetic
from experiments.studies.study import Inputs, Progress
from neuva import NeuvaError, atomic_path
from snn.networks.seen import Moments, Sampling, normalised, sample

NAME = "pictures"
"""Of the job."""
KINDS = {"events": "event_frames", "frames": "frames"}
"""The pictures, and the store's arrays of them."""
RAW = Moments(0.0, 1.0)


def require_clips(store: EventStore) -> None:
    """Refuse a store the study cannot be done on.

    Raises:
        NeuvaError: if a split, the pictures or the emotions are missing, or a split has one emotion alone.
    """
    for split in ("train", "test"):
        if split not in store.splits:
            raise NeuvaError(f"{store.path}: has no clips to {split} on: make the store again with all its splits")
        rows = [row for row, each in enumerate(store.splits) if each == split]
        found = {_place(store, row, "emotion", EMOTIONS) for row in rows}
        for row in rows:
            _place(store, row, "lighting", LIGHTINGS)
        if len(found) < 2:
            raise NeuvaError(
                f"{store.path}: all {len(rows)} clips of split {split} show {EMOTIONS[found.pop()]}, needed 2 emotions "
                "or more: make the store from the whole data set"
            )
        for key in KINDS.values():
            store.arrays(rows[0], key)


def prepare(config: SeenConfig, inputs: Inputs, folder: Path, progress: Progress) -> dict[str, Any]:
    """The job: keep the pictures of both splits, and tell what the store is.

    Files: of each split events and frames, uint8 [N, side, side], and an index: where clips begin, emotion, lighting.
    """
    store = EventStore(inputs.store)
    rows = {split: [row for row, each in enumerate(store.splits) if each == split] for split in ("train", "test")}
    for split, members in rows.items():
        begins = np.cumsum([0, *(len(store.labels(row)[0]) for row in members)])
        for kind, key in KINDS.items():
            tell = partial(progress, f"{split}, {key}")
            _keep(store, members, key, begins, folder / f"{split}-{kind}.npy", config.network.side, tell)
        emotion, lighting = (
            np.array([_place(store, row, name, known) for row in members])
            for name, known in (("emotion", EMOTIONS), ("lighting", LIGHTINGS))
        )
        with atomic_path(folder / f"{split}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, begins=begins, emotion=emotion, lighting=lighting)
    people = {split: {store.meta(row)["volunteer"] for row in members} for split, members in rows.items()}
    shown = Counter(store.meta(row)["emotion"] for row in rows["test"])
    return {
        "dataset": store.dataset,
        "synthetic": is_synthetic(store),
        "split": store.provenance.get("split", "unknown"),
        "shared": len(people["train"] & people["test"]),
        "volunteers": len(people["train"] | people["test"]),
        "clips": {split: len(members) for split, members in rows.items()},
        "absent": [emotion for emotion in EMOTIONS if not shown[emotion]],
        "normalisation": _moments(config, folder),
    }


def _keep(
    store: EventStore,
    rows: Sequence[int],
    key: str,
    begins: np.ndarray,
    path: Path,
    side: int,
    tell: Callable[[int, int], None],
) -> None:
    """Write the pictures of clips one behind the other; one clip at a time is in memory."""
    with atomic_path(path) as temporary:
        kept = new_array(temporary, np.uint8, (int(begins[-1]), side, side))
        for done, (row, begin, stop) in enumerate(zip(rows, begins[:-1], begins[1:], strict=True)):
            pictures = store.arrays(row, key)
            if not len(pictures) == stop - begin > 0:
                raise NeuvaError(
                    f"{store.path}: clip {store.names[row]} has {len(pictures)} {key} for {stop - begin} times, needed "
                    "as many, 1 or more: make the store again"
                )
            kept[begin:stop] = resized(pictures, side)
            tell(done + 1, len(rows))
        kept.flush()


def resized(pictures: np.ndarray, side: int) -> np.ndarray:
    """Grey pictures uint8 [T, H, W] as `normalised` cuts and resizes them, uint8 [T, side, side]."""
    grey = normalised(torch.as_tensor(pictures), RAW, side)[:, 0]
    return (255 * grey).round().clamp(0, 255).to(torch.uint8).numpy()


@dataclass(frozen=True)
class Clips:
    """Pictures of a split, on disk until they are asked for.

    events, frames: uint8 [N, side, side], all clips one behind the other; begins: int64 [K + 1], where each begins.
    emotion, lighting: int64 [K], places in `EMOTIONS` and `LIGHTINGS`. moments: of events and of frames.
    """

    events: np.ndarray
    frames: np.ndarray
    begins: np.ndarray
    emotion: np.ndarray
    lighting: np.ndarray
    moments: tuple[Moments, Moments]

    @classmethod
    def load(cls, config: SeenConfig, inputs: Inputs, split: str) -> Clips:
        """What the job has kept of a split."""
        folder = inputs.of_job(NAME)
        pictures = {kind: np.load(folder / f"{split}-{kind}.npy", mmap_mode="r") for kind in KINDS}
        moments = _moments(config, folder)
        with np.load(folder / f"{split}.npz", allow_pickle=False) as index:
            return cls(**pictures, **index, moments=(Moments(*moments["events"]), Moments(*moments["frames"])))

    def __len__(self) -> int:
        return len(self.emotion)

    def draw(self, rows: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames and events of a random clip of each sequence, both [B, duration, 3, side, side], normalised."""
        begins, stops = self.begins[rows], self.begins[rows + 1]
        picked = [
            begin + sample(int(stop - begin), sampling.duration, sampling.stride, rng)
            for begin, stop in zip(begins, stops, strict=True)
        ]
        side = self.events.shape[-1]
        events, frames = (
            normalised(torch.as_tensor(pictures[np.stack(picked)]), moments, side)
            for pictures, moments in zip((self.events, self.frames), self.moments, strict=True)
        )
        return frames, events


def _moments(config: SeenConfig, folder: Path) -> dict[str, list[float]]:
    """Mean and deviation of both kinds: the configuration's, else those of the training pictures."""
    if config.normalisation is not None:
        return {kind: list(getattr(config.normalisation, kind)) for kind in KINDS}
    found = {}
    for kind in KINDS:
        pictures = np.load(folder / f"train-{kind}.npy", mmap_mode="r")
        counts = np.sum([np.bincount(each.ravel(), minlength=256) for each in pictures], axis=0)
        grey = np.arange(256) / 255
        mean = float(np.average(grey, weights=counts))
        deviation = float(np.sqrt(np.average((grey - mean) ** 2, weights=counts)))
        if not deviation:
            raise NeuvaError(f"{folder / kind}: all training pictures are of one grey: there is nothing to learn from")
        found[kind] = [mean, deviation]
    return found


def _place(store: EventStore, row: int, key: str, known: tuple[str, ...]) -> int:
    said = store.meta(row).get(key)
    if said not in known:
        raise NeuvaError(
            f"{store.path}: clip {store.names[row]} has {key} {said}, allowed {', '.join(known)}: make the store again"
        )
    return known.index(said)
