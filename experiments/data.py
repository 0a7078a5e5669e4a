"""Feeds training: random windows of clips, the same ones for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import lightning
import numpy as np
import torch
from tonic.collation import PadTensors
from torch.utils.data import DataLoader, Dataset

from conversion.fidelity import Clip
from datasets.store import EventStore
from experiments.clips import Cut, load_clips
from experiments.config import DataConfig
from neuva import NeuvaError
from snn.networks import NetworkSpec

Item = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Windows(Dataset):
    """`count` random windows; number i depends on (seed, epoch, i) alone, so a resumed run sees the same."""

    clips: list[Clip]
    steps: int
    every: int
    flip: bool
    shift: int
    seed: int
    epoch: int
    count: int

    def __len__(self) -> int:
        """Windows in an epoch."""
        return self.count

    def __getitem__(self, index: int) -> Item:
        """x uint8 [T, C, H, W], labels [T / every, 2], mask [T / every]."""
        if index >= self.count:
            raise IndexError(index)
        rng = np.random.default_rng([self.seed, self.epoch, index])
        clip = self.clips[rng.integers(len(self.clips))]
        length = min(self.steps, len(clip.x)) // self.every
        start = rng.integers(len(clip.x) // self.every - length + 1)
        x = clip.x[start * self.every : (start + length) * self.every]
        if self.flip and rng.random() < 0.5:
            x = x[..., ::-1]
        x = shifted(x, *rng.integers(-self.shift, self.shift + 1, 2))
        labels = slice(start, start + length)
        return (
            torch.from_numpy(np.ascontiguousarray(x)),
            torch.from_numpy(clip.labels[labels]),
            torch.from_numpy(clip.mask[labels]),
        )


class AffectData(lightning.LightningDataModule):
    """Windows for training and whole clips for validation, from one store.

    Args:
        config: where and how.
        spec: the network the clips are cut for.
        seed: of the windows. per_epoch: optimiser steps between validations.
        progress: called with (clips read, clips in all).
    """

    def __init__(
        self,
        config: DataConfig,
        spec: NetworkSpec,
        seed: int,
        per_epoch: int,
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        super().__init__()
        self.config, self.spec, self.seed, self.per_epoch = config, spec, seed, per_epoch
        self.train_clips = self._read("train", progress)
        self.validation_clips = self._read("validation", progress)

    def _read(self, split: str, progress: Callable[[int, int], None]) -> list[Clip]:
        store = EventStore(self.config.store, split)
        clips = []
        for clip in load_clips(store, Cut.of(self.spec)):
            clips.append(clip)
            progress(len(clips), len(store))
        if not clips:
            raise NeuvaError(f"{self.config.store}: no clips in split {split}: make the store again")
        return clips

    def _windows(self, epoch: int) -> Windows:
        return Windows(
            self.train_clips,
            self.config.window_steps,
            self.spec.every,
            self.config.flip,
            self.config.shift,
            self.seed,
            epoch,
            self.per_epoch * self.config.batch,
        )

    def first(self) -> torch.Tensor:
        """A first batch [T, B, C, H, W], for the start of the weights."""
        windows = self._windows(epoch=0)
        return _collate([windows[i] for i in range(self.config.batch)])[0]

    def train_dataloader(self) -> DataLoader:
        """This epoch's windows."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        return DataLoader(
            self._windows(epoch),
            batch_size=self.config.batch,
            num_workers=self.config.workers,
            collate_fn=_collate,
        )

    def val_dataloader(self) -> DataLoader:
        """Whole validation clips; clips of one length share a batch."""
        clips = sorted(self.validation_clips, key=lambda clip: len(clip.x))
        batches: list[list[Clip]] = []
        for clip in clips:
            if not batches or len(batches[-1]) == 8 or len(batches[-1][0].x) != len(clip.x):
                batches.append([])
            batches[-1].append(clip)
        return DataLoader([_collate([_whole(clip) for clip in batch]) for batch in batches], batch_size=None)  # type: ignore[arg-type]


def shifted(x: np.ndarray, down: int, right: int) -> np.ndarray:
    """Pictures [..., H, W] moved by whole pixels; what leaves is lost, what comes in is empty."""
    out = np.zeros_like(x)
    height, width = x.shape[-2:]
    to_y, from_y = (slice(max(s, 0), height + min(s, 0)) for s in (down, -down))
    to_x, from_x = (slice(max(s, 0), width + min(s, 0)) for s in (right, -right))
    out[..., to_y, to_x] = x[..., from_y, from_x]
    return out


def _whole(clip: Clip) -> Item:
    return torch.from_numpy(clip.x), torch.from_numpy(clip.labels), torch.from_numpy(clip.mask)


def _collate(items: list[Item]) -> Item:
    """Stack to time first: x float [T, B, C, H, W], labels [T', B, 2], mask [T', B]; shorter windows end in silence."""
    pad = PadTensors(batch_first=False)
    x, labels, mask = (pad([(item[part], 0) for item in items])[0] for part in range(3))
    return x.float(), labels, mask.bool()
