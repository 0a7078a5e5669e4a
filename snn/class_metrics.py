"""Metrics of classes (emotions, expressions) and of action units, pooled over all samples of a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_recall,
    multilabel_f1_score,
)

from neuva import NeuvaError


@dataclass(frozen=True)
class ClassMetrics:
    """How well K classes are told apart; shares in [0, 1].

    war: weighted average recall, the share of samples that are right (accuracy). uar: unweighted average recall, the
    mean of `recalls`. f1: macro F1, the mean of `f1s`. recalls, f1s: of each class; F1 = 2 TP / (2 TP + FP + FN).
    confusion: samples, [label][prediction]. None where undefined: recall and F1 of a class that no label names,
    and the means over all classes with it.
    """

    war: float
    uar: float | None
    f1: float | None
    recalls: tuple[float | None, ...]
    f1s: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """All figures, JSON-serialisable."""
        return asdict(self)


@dataclass(frozen=True)
class UnitMetrics:
    """How well U action units, each on or off, are told; shares in [0, 1].

    f1: mean of `f1s`. f1s: of each unit, of its being on. None where undefined: for a unit that is never on,
    and the mean with it.
    """

    f1: float | None
    f1s: tuple[float | None, ...]
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """All figures, JSON-serialisable."""
        return asdict(self)


def class_metrics(
    prediction: np.ndarray, target: np.ndarray, classes: int, mask: np.ndarray | None = None
) -> ClassMetrics:
    """Metrics of classes by torchmetrics.

    Args:
        prediction, target: integers [N] in 0..classes-1. classes: K, at least 2. mask: bool [N], samples that count.

    Raises:
        NeuvaError: if no sample counts, or a class that counts is outside its range.
    """
    p, t = _masked(prediction, target, mask, classes - 1)
    there = torch.bincount(t, minlength=classes) > 0
    recalls = _defined(multiclass_recall(p, t, classes, average="none"), there)
    f1s = _defined(multiclass_f1_score(p, t, classes, average="none"), there)
    confusion = multiclass_confusion_matrix(p, t, classes).tolist()
    war = float(multiclass_accuracy(p, t, classes, average="micro"))
    return ClassMetrics(war, _mean(recalls), _mean(f1s), recalls, f1s, tuple(map(tuple, confusion)), len(t))


def unit_metrics(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None) -> UnitMetrics:
    """Metrics of action units by torchmetrics.

    Args:
        prediction, target: 0 or 1, [N, U]. mask: bool [N], samples that count.

    Raises:
        NeuvaError: if no sample counts, or a value that counts is neither 0 nor 1.
    """
    p, t = _masked(prediction, target, mask, 1)
    units = t.shape[1]
    if units == 1:  # torchmetrics asks for two labels at least
        p, t = p.expand(-1, 2), t.expand(-1, 2)
    f1s = _defined(multilabel_f1_score(p, t, t.shape[1], average="none"), t.any(0))[:units]
    return UnitMetrics(_mean(f1s), f1s, len(t))


def _masked(
    prediction: np.ndarray, target: np.ndarray, mask: np.ndarray | None, largest: int
) -> tuple[torch.Tensor, torch.Tensor]:
    if prediction.shape != target.shape:
        raise NeuvaError(f"{prediction.shape} predictions for {target.shape} labels: give one for each")
    if mask is not None:
        prediction, target = prediction[mask], target[mask]
    if not len(target):
        raise NeuvaError("no sample has a valid label: there is nothing to score; name another split or store")
    for what, values in (("prediction", prediction), ("label", target)):
        bad = values[~np.isin(values, np.arange(largest + 1))]
        if len(bad):
            raise NeuvaError(f"{what} {bad[0]} of a class: allowed are 0 to {largest}; mask what is not labelled")
    return torch.as_tensor(prediction.astype(np.int64)), torch.as_tensor(target.astype(np.int64))


def _defined(values: torch.Tensor, there: torch.Tensor) -> tuple[float | None, ...]:
    return tuple(value if known else None for value, known in zip(values.tolist(), there.tolist(), strict=True))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
