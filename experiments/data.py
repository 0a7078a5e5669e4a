"""Feeds training: random windows of clips, the same ones for the same seed whoever cuts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from conversion.fidelity import Clip
from datasets.store import EventStore
from experiments.augmentation import draw, window
from experiments.clips import Cut, EventClip, load_clips, load_event_clips
from experiments.config import Augment, DataConfig
from snn.building import AffectSpec

Item = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
VALIDATION_BATCH = 8


@dataclass(frozen=True)
class Windows(Dataset):
    """Random windows without end: window n of a training depends on (seed, n) alone, whichever process cuts it."""

    clips: list[EventClip]
    cut: Cut
    steps: int
    augment: Augment
    seed: int

    def __getitem__(self, number: int) -> Item:
        """x uint8 or int16 [T, C, H, W], labels [T / every, 2], mask [T / every]."""
        random = np.random.default_rng([self.seed, number])
        clip = self.clips[random.integers(len(self.clips))]
        change = draw(self.augment, random)
        x, labels, mask = window(clip, self.cut, self.steps // self.cut.every, change, random)
        return torch.from_numpy(x), torch.from_numpy(labels), torch.from_numpy(mask)


class Numbers(Sampler[int]):
    """Numbers of the windows of `steps` optimiser steps: of each step's batch, the share of one of `world` processes.

    They follow from the steps that are `done()` when an epoch begins, so a resumed run goes on where it stopped.
    """

    def __init__(self, steps: int, batch: int, done: Callable[[], int], rank: int = 0, world: int = 1) -> None:
        self.steps, self.batch, self.share, self.rank, self.done = steps, batch, batch // world, rank, done

    def __len__(self) -> int:
        return self.steps * self.share

    def __iter__(self) -> Iterator[int]:
        done = self.done()
        for step in range(done, done + self.steps):
            first = step * self.batch + self.rank * self.share
            yield from range(first, first + self.share)


class AffectData(lightning.LightningDataModule):
    """Windows for training and whole clips for validation, from one store.

    Args:
        config: where and how.
        spec: the network the clips are cut for.
        seed: of the windows. per_epoch: optimiser steps between validations.
        progress: called with (clips read, clips in all).

    Raises:
        NeuvaError: if the store lacks a split.
    """

    def __init__(
        self,
        config: DataConfig,
        spec: AffectSpec,
        seed: int,
        per_epoch: int,
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        super().__init__()
        self.config, self.per_epoch = config, per_epoch
        cut = Cut.of(spec)
        training, validation = EventStore(config.store, "train"), EventStore(config.store, "validation")
        in_all = len(training) + len(validation)
        clips = []
        for clip in load_event_clips(training, cut):
            clips.append(clip)
            progress(len(clips), in_all)
        self.windows = Windows(clips, cut, config.window_steps, config.augment, seed)
        self.validation_clips: list[Clip] = []
        for whole in load_clips(validation, cut):
            self.validation_clips.append(whole)
            progress(len(clips) + len(self.validation_clips), in_all)

    def scored(self, warm_up: int) -> int:
        """Estimates of the training clips that have a valid label and are not among a window's first `warm_up`."""
        cut = self.windows.cut
        return sum(int(clip.valid(cut.every * cut.dt_us)[warm_up:].sum()) for clip in self.windows.clips)

    def first(self) -> torch.Tensor:
        """The first batch of all processes together, float [T, B, C, H, W], for the start of the weights."""
        return collate([self.windows[number] for number in range(self.config.batch)])[0].float()

    def train_dataloader(self) -> DataLoader:
        """Windows, epoch after epoch; where several processes train, the share of this one."""
        trainer, batch, workers = self.trainer, self.config.batch, self.config.workers
        if trainer is None:
            raise RuntimeError("the windows of a training follow its steps: give this data module to a Trainer")
        world = trainer.world_size
        return DataLoader(
            self.windows,
            batch_size=batch // world,
            sampler=Numbers(self.per_epoch, batch, lambda: trainer.global_step, trainer.global_rank, world),
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=collate,
        )

    def val_dataloader(self) -> DataLoader:
        """Whole validation clips, all of them on every process; clips of one length share a batch."""
        clips = sorted(self.validation_clips, key=lambda clip: len(clip.x))
        batches: list[list[Clip]] = []
        for clip in clips:
            if not batches or len(batches[-1]) == VALIDATION_BATCH or len(batches[-1][0].x) != len(clip.x):
                batches.append([])
            batches[-1].append(clip)
        return DataLoader([collate([_whole(clip) for clip in batch]) for batch in batches], batch_size=None)  # type: ignore[arg-type]

    def on_after_batch_transfer(self, batch: Item, dataloader_idx: int) -> Item:  # noqa: ARG002  # Lightning's hook
        """Spikes travel to the device as small integers; windows become float there, whole clips part by part."""
        x, labels, mask = batch
        whole = self.trainer is not None and self.trainer.validating
        return x if whole else x.float(), labels, mask


def _whole(clip: Clip) -> Item:
    return torch.from_numpy(clip.x), torch.from_numpy(clip.labels), torch.from_numpy(clip.mask)


def collate(items: list[Item]) -> Item:
    """Stack to time first: x [T, B, C, H, W], labels [T', B, 2], mask [T', B]; shorter windows end in silence."""
    x, labels, mask = (_stack([item[part] for item in items]) for part in range(3))
    return x, labels, mask


def _stack(parts: list[torch.Tensor]) -> torch.Tensor:
    """[T, B, ...] of the longest part's length, zero behind the shorter ones."""
    arrays = [part.numpy() for part in parts]  # torch would wake its threads for each of many small copies
    out = np.zeros((max(map(len, arrays)), len(arrays), *arrays[0].shape[1:]), arrays[0].dtype)
    for column, array in enumerate(arrays):
        out[: len(array), column] = array
    return torch.from_numpy(out)
