"""One model trained on all folds but one, and its estimates of that one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from experiments.studies.fitting import device, epochs, read_weights, save_weights, seeded
from experiments.studies.neuromorphic_va.clips import ClipSet
from experiments.studies.neuromorphic_va.config import NeuromorphicVa, Spiking, Training
from experiments.studies.neuromorphic_va.models import SpikingEstimator, build
from experiments.studies.neuromorphic_va.variants import Variant
from experiments.studies.study import Progress
from neuva import NeuvaError, atomic_path
from snn.losses import concordance_loss
from snn.metrics import affect_metrics

WEIGHTS, ESTIMATES = "weights.pt", "estimates.npz"

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Windows:
    """Random windows of some clips: each epoch draws as many frames as these have, the ends of short clips masked."""

    clips: ClipSet
    chosen: np.ndarray
    """Rows of the frames a window may begin around."""
    full: int
    config: Training
    random: torch.Generator

    def __call__(self) -> Iterator[Batch]:
        """One epoch: x [B, T, C, H, W] in [0, 1], labels [B, T, 2], mask [B, T]."""
        config = self.config
        for _ in range(max(1, len(self.chosen) // (config.batch * config.window))):
            yield self.draw()

    def draw(self) -> Batch:
        """One batch."""
        pick = torch.randint(len(self.chosen), (self.config.batch,), generator=self.random).numpy()
        clip = self.clips.clip_of[self.chosen[pick]]
        first, end = self.clips.bounds[clip], self.clips.bounds[clip + 1]
        room = np.maximum(end - first - self.config.window, 0)
        start = first + np.minimum(
            (torch.rand(len(pick), generator=self.random).numpy() * (room + 1)).astype(int), room
        )
        wanted = start[:, None] + np.arange(self.config.window)
        rows = np.minimum(wanted, end[:, None] - 1)  # the last frame stands behind a clip that is too short
        x = as_shown(self.clips.pictures[rows], self.full)
        if self.config.flip:
            mirrored = torch.rand(len(x), generator=self.random) < 0.5
            x[mirrored] = x[mirrored].flip(-1)
        mask = self.clips.mask[rows] & (wanted < end[:, None])
        return x, torch.from_numpy(self.clips.labels[rows]), torch.from_numpy(mask)


def train(
    config: NeuromorphicVa, variant: Variant, fold: int, clips: Path, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Train without `fold`, then estimate all of it; into `folder` go weights.pt and estimates.npz.

    Returns:
        `AffectMetrics` of the fold's frames, pooled, as a dict.

    Raises:
        NeuvaError: if the labels to train on are constant, or training diverges.
    """
    read, random, where = ClipSet.read(clips), seeded(config.seed + fold), device()
    trained = read.folds[read.clip_of] != fold
    require_varied(read.labels[trained & read.mask], f"{variant.name}, without fold {fold}")
    windows = Windows(read, np.flatnonzero(trained), variant.view.full, config.training, random)
    model = config.models[variant.model]
    net = build(model, config.pictures.shown)
    if isinstance(net, SpikingEstimator) and isinstance(model, Spiking):
        net.start(windows.draw()[0], model.start_rate)
    net.to(where)
    _fit(net, windows, model.learning_rate, where, progress)
    estimates = estimate_clips(net, read, np.flatnonzero(read.folds == fold), variant.view.full, where)
    save_weights(folder / WEIGHTS, {name: tensor.cpu() for name, tensor in net.state_dict().items()})
    tested = ~trained
    with atomic_path(folder / ESTIMATES) as temporary:
        np.savez(temporary, rows=np.flatnonzero(tested), estimates=estimates)
    metrics = affect_metrics(estimates, read.labels[tested], read.mask[tested]).to_dict()
    return {**metrics, "parameters": sum(each.numel() for each in net.parameters())}


def _fit(net: nn.Module, windows: Windows, learning_rate: float, where: torch.device, progress: Progress) -> None:
    config = windows.config
    optimizer = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs)

    def loss_of(batch: Batch) -> torch.Tensor:
        x, labels, mask = (part.to(where) for part in batch)
        return concordance_loss(net(x), labels, mask, config.mse_share)

    for _ in epochs(
        net,
        config.epochs,
        windows,
        loss_of,
        optimizer,
        progress,
        schedule=schedule,
        clip_norm=config.clip_norm,
    ):
        pass


@torch.no_grad()
def estimate_clips(net: nn.Module, read: ClipSet, chosen: np.ndarray, full: int, where: torch.device) -> np.ndarray:
    """Estimates [N, 2] within [-1, 1] of the frames of the chosen clips, each clip as a whole."""
    net.eval()
    found = [np.zeros((0, 2), np.float32)]
    for clip in chosen:
        x = as_shown(read.pictures[read.rows(int(clip))], full)[None].to(where)
        found.append(net(x)[0].clamp(-1, 1).cpu().numpy())
    return np.concatenate(found)


def load(config: NeuromorphicVa, variant: Variant, folder: Path) -> nn.Module:
    """The network that `train` left in a folder."""
    net = build(config.models[variant.model].model_copy(update={"weights": None}), config.pictures.shown)
    net.load_state_dict(read_weights(folder / WEIGHTS))
    return net


def as_shown(pictures: np.ndarray, full: int) -> torch.Tensor:
    """Whole numbers up to `full` as floats in [0, 1]."""
    return torch.from_numpy(pictures.astype(np.float32)).div_(full)


def require_varied(labels: np.ndarray, where: str) -> None:
    """Refuse labels [K, 2] from which nothing can be learnt.

    Raises:
        NeuvaError: if valence or arousal is the same in all of them.
    """
    for name, column in zip(("valence", "arousal"), labels.T, strict=True):
        if math.isclose(float(np.ptp(column)) if len(column) else 0.0, 0.0):
            raise NeuvaError(
                f"{where}: {name} is the same in all {len(column)} labelled frames: there is nothing to learn; take a "
                "store whose labels vary"
            )
