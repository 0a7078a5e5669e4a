"""How good a network or a chip program is on a split of a store, and how sure of each estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conversion.fidelity import Clip
from datasets.store import EventStore
from experiments.clips import Cut, load_clips
from hardware import devices
from hardware.program import ChipProgram
from hardware.region import Region, calibrate
from neuva import NeuvaError
from snn.building import AffectNet
from snn.metrics import AffectMetrics, affect_metrics

LEVEL = 0.9
"""Share of the labels a region is to hold."""

CALIBRATION_SPLIT = "validation"
"""People seen neither in training nor in testing."""

Model = AffectNet | ChipProgram
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """Metrics over a split; the region around an estimate, and the share of the split's labels it holds.

    region and coverage are None where a program has no region and a store no split to calibrate one on.
    """

    metrics: AffectMetrics
    clips: int
    region: Region | None
    coverage: float | None

    def to_dict(self) -> dict[str, Any]:
        """All figures, JSON-serialisable."""
        region = None if self.region is None else {**self.region.to_dict(), "area": self.region.area}
        return {**self.metrics.to_dict(), "clips": self.clips, "region": region, "coverage": self.coverage}


def evaluate(model: Model, store: Path, split: str, progress: Progress = lambda *_: None) -> Evaluation:
    """Metrics pooled over all clips of a split, a program's on the emulator in steps of dt.

    A program brings its region; a float network's is calibrated here, on the store's validation split.

    Raises:
        NeuvaError: if the store or the split is missing.
    """
    estimates, labels, clips = _pooled(model, store, split, progress)
    region = model.region if isinstance(model, ChipProgram) else calibrated(model, store)
    coverage = None if region is None else float(region.holds(estimates, labels).mean())
    return Evaluation(affect_metrics(estimates, labels), clips, region, coverage)


def calibrated(model: Model, store: Path, progress: Progress = lambda *_: None) -> Region | None:
    """The region of level `LEVEL` on the store's validation split; None if it has none."""
    if CALIBRATION_SPLIT not in EventStore(store).splits:
        return None
    estimates, labels, clips = _pooled(model, store, CALIBRATION_SPLIT, progress)
    return calibrate(estimates, labels, LEVEL, clips)


def _pooled(model: Model, path: Path, split: str, progress: Progress) -> tuple[np.ndarray, np.ndarray, int]:
    """Estimates and valid labels of all clips, [N, 2] each, and how many clips."""
    store = EventStore(path, split)
    cut = Cut.of(model if isinstance(model, ChipProgram) else model.spec)
    parts = []
    for done, clip in enumerate(load_clips(store, cut), 1):
        parts.append((_estimates(model, clip)[clip.mask], clip.labels[clip.mask]))
        progress(done, len(store))
    if not sum(len(labels) for _, labels in parts):
        raise NeuvaError(f"{path}: split {split} holds no valid label: name another split or store")
    estimates, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return estimates, labels, len(parts)


@torch.no_grad()
def _estimates(model: Model, clip: Clip) -> np.ndarray:
    if isinstance(model, ChipProgram):
        return devices.run(model, clip.x, "emulator").va
    return model(torch.as_tensor(clip.x)[:, None].float()).clamp(-1, 1)[:, 0].numpy()
