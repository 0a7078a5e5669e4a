"""The jobs that train: a network of one setting and ablation, scored on random clips of the test sequences."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from experiments.studies.fitting import device, epochs, read_weights, save_weights, seeded
from experiments.studies.seen.clips import Clips
from experiments.studies.seen.config import SeenConfig, job_name
from experiments.studies.seen.scores import scores
from experiments.studies.study import Inputs, Progress
from neuva import atomic_path
from snn.macs import count_macs
from snn.networks.seen import SAMPLINGS, Sampling, SeenNet

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
TESTED = 64
"""Clips in a pass of the trained network."""


def train(
    setting: str, letter: str, config: SeenConfig, inputs: Inputs, folder: Path, progress: Progress
) -> dict[str, Any]:
    """The job: train with cross-entropy, score the last epoch and, beside it, the best on the test clips.

    That best, by (uar + 2 war) / 3 over the epochs from `selected_from` on, is how the published checkpoints were
    chosen; it looks at the answers, so it is no result, and serves to compare with what is published alone.
    """
    seeded(config.seed)
    rng = np.random.default_rng(config.seed)
    training, testing = (Clips.load(config, inputs, split) for split in ("train", "test"))
    sampling, recipe = SAMPLINGS[setting], config.training
    net = SeenNet(config.spec(setting, letter)).to(device())
    optimizer = torch.optim.SGD(net.parameters(), recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, recipe.gamma)
    shuffled = partial(_batches, training, sampling, recipe.batch, rng)
    best, losses, logits = dict[str, Any](), list[float](), np.empty(0)
    what = job_name(setting, letter)
    for epoch, loss in enumerate(
        epochs(net, recipe.epochs, shuffled, partial(_loss, net), optimizer, progress, what=what, schedule=schedule),
        start=1,
    ):
        losses.append(loss)
        if epoch >= config.selected_from or epoch == recipe.epochs:
            logits = answers(net, testing, sampling, config)
            best = max(best, _told(epoch, logits, testing), key=lambda told: told.get("rank", -1.0))
    save_weights(folder / "weights.pt", net.state_dict())
    with atomic_path(folder / "answers.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, logits=logits, emotion=testing.emotion, lighting=testing.lighting)
    return {
        "setting": setting,
        "ablation": letter,
        "loss": losses,
        "last": scores(logits, testing.emotion, testing.lighting),
        "test_selected": best,
        "parameters": sum(each.numel() for each in net.parameters()),
        "macs": count_macs(net.eval().cpu(), *testing.draw(np.arange(1), sampling, rng)),
    }


def trained(config: SeenConfig, inputs: Inputs, setting: str, letter: str) -> SeenNet:
    """The network a finished job has left, ready to answer."""
    net = SeenNet(config.spec(setting, letter))
    net.load_state_dict(read_weights(inputs.of_job(job_name(setting, letter)) / "weights.pt"))
    return net.eval()


@torch.no_grad()
def answers(net: SeenNet, clips: Clips, sampling: Sampling, config: SeenConfig) -> np.ndarray:
    """Logits [runs, K, 7] of random clips, the same clips at every call."""
    net.eval()
    rng, where = np.random.default_rng([config.seed, 1]), next(net.parameters()).device
    parts = np.array_split(np.arange(len(clips)), -(-len(clips) // TESTED))

    def run() -> np.ndarray:
        drawn = (clips.draw(rows, sampling, rng) for rows in parts)
        return np.concatenate([net(*(x.to(where) for x in clip)).numpy(force=True) for clip in drawn])

    return np.stack([run() for _ in range(config.runs)])


def _batches(clips: Clips, sampling: Sampling, size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """All sequences once, in random order, a random clip of each; a last batch of one alone is left out."""
    order = rng.permutation(len(clips))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        if len(rows) > 1:
            yield *clips.draw(rows, sampling, rng), torch.as_tensor(clips.emotion[rows])


def _loss(net: SeenNet, batch: Batch) -> torch.Tensor:
    frames, events, emotion = (x.to(next(net.parameters()).device) for x in batch)
    return F.cross_entropy(net(frames, events), emotion)


def _told(epoch: int, logits: np.ndarray, clips: Clips) -> dict[str, Any]:
    found = scores(logits, clips.emotion, clips.lighting)
    war, uar = found["war"]["mean"], found["uar"]["mean"]
    return {"epoch": epoch, "war": war, "uar": uar, "rank": war if uar is None else (uar + 2 * war) / 3}
