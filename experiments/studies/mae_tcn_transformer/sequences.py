"""Stage 3: TCNs and a transformer over windows of a clip's features, trained and scored on one split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.aff_wild2.annotations import EXPRESSIONS
from experiments.studies.fitting import device, epochs, finite, save_weights, seeded
from experiments.studies.mae_tcn_transformer.clips import ClipLabels, parts
from experiments.studies.mae_tcn_transformer.config import StudyConfig
from experiments.studies.mae_tcn_transformer.estimates import ClipEstimates, write_estimates
from experiments.studies.mae_tcn_transformer.submission import write_submission
from experiments.studies.mae_tcn_transformer.windows import Windows
from experiments.studies.study import Progress
from snn.baselines.sequence import SequenceNet, Task
from snn.class_metrics import class_metrics, unit_metrics
from snn.losses import class_loss, concordance_loss, unit_loss
from snn.metrics import affect_metrics

Features = Callable[[ClipLabels], Mapping[str, np.ndarray]]
"""Gives a clip's features by modality, float16 or float32 [n, width]; they may lie on disk."""

Batch = tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor, torch.Tensor]
"""Features by modality [B, L, width], labels [B, L, ...], labelled bool [B, L], and frames there are bool [B, L]."""

_SCALED_ON = 100_000  # frames, at most, whose mean and deviation scale the features
_ON = 0.5  # share from which on an action unit is said to show


def train_and_score(
    config: StudyConfig,
    clips: Sequence[ClipLabels],
    task: Task,
    split: str,
    features_of: Features,
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Train a task's network; keep its weights, its estimates and the challenge's file; give its figures.

    Raises:
        NeuvaError: if training diverges.
    """
    trained, scored = parts(clips, split, task)
    recipe, windows = config.tasks[task].training, config.windows
    order = seeded(recipe.seed)
    net = SequenceNet(task, {name: rows.shape[1] for name, rows in features_of(trained[0]).items()}, config.sequence)
    net.scale_to(_some_frames(trained, features_of))
    net.to(device())
    optimizer, schedule = recipe.optimizer(net)
    places = [(clip, int(start)) for clip in trained for start in windows.starts(len(clip.mask))]

    def batches() -> Iterator[Batch]:
        shuffled = [places[k] for k in torch.randperm(len(places), generator=order).tolist()]
        for first in range(0, len(shuffled), recipe.batch):
            yield _batch(shuffled[first : first + recipe.batch], task, features_of, windows)

    def loss_of(batch: Batch) -> torch.Tensor:
        features, labels, labelled, mask = batch
        given = net(features, mask)
        if task == "valence_arousal":
            return concordance_loss(given, labels, labelled)
        return class_loss(given, labels) if task == "expression" else unit_loss(given, labels)

    losses = list(
        epochs(net, recipe.epochs, batches, loss_of, optimizer, progress, schedule=schedule, clip_norm=recipe.clip_norm)
    )
    save_weights(folder / "network.pt", net.state_dict())
    estimates = [
        ClipEstimates(
            clip.name, clip.times_us, estimate(net, features_of(clip), windows), clip.target(task), clip.valid(task)
        )
        for clip in scored
    ]
    write_estimates(folder, estimates)
    write_submission(folder / "submission.txt", task, {each.name: decide(task, each.estimate) for each in estimates})
    heard = "sound" in net.modalities
    return {
        "trained_clips": len(trained),
        "scored_clips": len(scored),
        "frames": int(sum(each.valid.sum() for each in estimates)),
        "silent_clips": sum(not clip.heard for clip in (*trained, *scored)) if heard else 0,
        "losses": losses,
        "metrics": score(task, estimates),
    }


@torch.no_grad()
def estimate(net: SequenceNet, features: Mapping[str, np.ndarray], windows: Windows, batch: int = 16) -> np.ndarray:
    """Of every frame, float32 [n, outputs]: the mean over the windows that hold it.

    Valence and arousal are cut off at -1 and 1; of expressions a softmax, of action units a sigmoid is given.

    Raises:
        NeuvaError: if one is no finite number.
    """
    net.eval()
    n = len(next(iter(features.values())))
    cut = {name: windows.cut(np.asarray(rows, np.float32)) for name, rows in features.items()}
    mask = windows.mask(n)
    given = []
    for first in range(0, len(mask), batch):
        some = slice(first, first + batch)
        x = {name: torch.from_numpy(rows[some]).to(device()) for name, rows in cut.items()}
        out = net(x, torch.from_numpy(mask[some]).to(device()))
        given.append(_shares(net.task, out).cpu().numpy())
    return finite(windows.join(np.concatenate(given), n), f"estimates of {net.task}")


def decide(task: Task, estimates: np.ndarray) -> np.ndarray:
    """What is said of each frame: valence and arousal, the likeliest expression, or the units that show (0 or 1)."""
    if task == "valence_arousal":
        return estimates
    return estimates.argmax(1) if task == "expression" else (estimates >= _ON).astype(np.int64)


def score(task: Task, clips: Sequence[ClipEstimates]) -> dict[str, Any]:
    """The task's metrics over all labelled frames of all clips together."""
    given, target, valid = (
        np.concatenate([getattr(clip, name) for clip in clips]) for name in ("estimate", "target", "valid")
    )
    said = decide(task, given)
    if task == "valence_arousal":
        return affect_metrics(said, target, valid).to_dict()
    if task == "expression":
        return class_metrics(said, target, len(EXPRESSIONS), valid).to_dict()
    return unit_metrics(said, target, valid).to_dict()


def _shares(task: Task, out: torch.Tensor) -> torch.Tensor:
    if task == "valence_arousal":
        return out.clamp(-1, 1)
    return out.softmax(-1) if task == "expression" else out.sigmoid()


def _batch(places: Sequence[tuple[ClipLabels, int]], task: Task, features_of: Features, windows: Windows) -> Batch:
    """Windows that begin at the places."""
    features: dict[str, list[np.ndarray]] = {}
    labels, labelled, mask = [], [], []
    for clip, start in places:
        rows = slice(start, start + windows.length)
        for name, of_clip in features_of(clip).items():
            features.setdefault(name, []).append(_padded(of_clip[rows].astype(np.float32), windows))
        labels.append(_padded(clip.target(task)[rows], windows, -1))
        labelled.append(_padded(clip.valid(task)[rows], windows))
        mask.append(_padded(np.ones(len(clip.mask[rows]), bool), windows))
    stacked = {name: _stack(each) for name, each in features.items()}
    return stacked, _stack(labels), _stack(labelled), _stack(mask)


def _padded(rows: np.ndarray, windows: Windows, filler: float = 0) -> np.ndarray:
    """Rows of one window, at most its length, filled up to it."""
    return windows.cut(np.asarray(rows), filler)[0]


def _stack(rows: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(rows)).to(device())


def _some_frames(clips: Sequence[ClipLabels], features_of: Features) -> dict[str, torch.Tensor]:
    """Features of the clips' frames, evenly thinned to at most `_SCALED_ON`."""
    step = -(-sum(len(clip.mask) for clip in clips) // _SCALED_ON)
    rows: dict[str, list[np.ndarray]] = {}
    for clip in clips:
        for name, of_clip in features_of(clip).items():
            rows.setdefault(name, []).append(np.array(of_clip[::step], np.float32))
    return {name: torch.from_numpy(np.concatenate(each)) for name, each in rows.items()}
