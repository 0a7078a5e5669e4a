"""How good a network or a chip program is on a split of a store, and how sure of each estimate."""

from __future__ import annotations

import logging
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
from hardware.region import Region, calibrate, fewest
from neuva import NeuvaError
from snn.building import AffectNet
from snn.metrics import AffectMetrics, affect_metrics
from snn.unrolling import estimate

LEVEL = 0.9
"""Share of the labels a region is to hold."""

CALIBRATION_SPLIT = "validation"
"""People seen neither in training nor in testing. The best checkpoint is chosen on them too: a small bias."""

log = logging.getLogger(__name__)

Model = AffectNet | ChipProgram
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """Metrics over a split; the region around an estimate, and the share of the split's labels it holds.

    region and coverage are None where a program has no region, and the store too few people to calibrate one on.
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
    found = _pooled(model, store, split, progress)
    region = model.region if isinstance(model, ChipProgram) else calibrated(model, store)
    coverage = None if region is None else float(region.holds(found.estimates, found.labels).mean())
    return Evaluation(affect_metrics(found.estimates, found.labels), found.clips, region, coverage)


def calibrated(model: Model, store: Path, progress: Progress = lambda *_: None) -> Region | None:
    """The region of level `LEVEL` on the store's validation split; None if it tells too little.

    A program's is calibrated on the emulator in steps of dt, on Speck too, where the chip itself works event by event.
    """
    people = _people(store)
    if people < fewest(LEVEL):
        log.info(
            "%s: no %.0f %% region: split %s holds %d people (clips where unknown), it takes %d",
            *(store, 100 * LEVEL, CALIBRATION_SPLIT, people, fewest(LEVEL)),
        )
        return None
    found = _pooled(model, store, CALIBRATION_SPLIT, progress)
    try:
        return calibrate(found.estimates, found.labels, found.people, LEVEL)
    except NeuvaError as error:
        log.warning("%s: no %.0f %% region: %s", store, 100 * LEVEL, error)
        return None


def _people(path: Path) -> int:
    """People of the calibration split who have a valid label."""
    if CALIBRATION_SPLIT not in EventStore(path).splits:
        return 0
    store = EventStore(path, CALIBRATION_SPLIT)
    return len({_person(store, index) for index in range(len(store)) if store.labels(index)[2].any()})


def _person(store: EventStore, index: int) -> str:
    """Whom a clip shows; the clip itself where that is unknown."""
    person = store.meta(index).get("subject")
    return f"clip {store.names[index]}" if person is None else f"person {person}"


@dataclass(frozen=True)
class _Pooled:
    """Estimates and valid labels of all clips, [N, 2] each, and whose they are, str [N]."""

    estimates: np.ndarray
    labels: np.ndarray
    people: np.ndarray
    clips: int


def _pooled(model: Model, path: Path, split: str, progress: Progress) -> _Pooled:
    store = EventStore(path, split)
    cut = Cut.of(model if isinstance(model, ChipProgram) else model.spec)
    parts = []
    for index, clip in enumerate(load_clips(store, cut)):
        labels = clip.labels[clip.mask]
        parts.append((_estimates(model, clip)[clip.mask], labels, np.full(len(labels), _person(store, index))))
        progress(index + 1, len(store))
    if not sum(len(labels) for _, labels, _ in parts):
        raise NeuvaError(f"{path}: split {split} holds no valid label: name another split or store")
    estimates, labels, people = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _Pooled(estimates, labels, people, len(parts))


def _estimates(model: Model, clip: Clip) -> np.ndarray:
    if isinstance(model, ChipProgram):
        return devices.run(model, clip.x, "emulator").va
    return estimate(model, torch.as_tensor(clip.x)[:, None])[:, 0].numpy()
