"""A region of the valence-arousal plane around an estimate that holds the label with a stated chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuva import NeuvaError

ROUNDING = 1e-9
"""Weights that add up to a level within this are the level."""


@dataclass(frozen=True, eq=False)  # an array has no plain equality
class Region:
    """An ellipse around each estimate e: the labels y with ``(y - e)^T precision (y - e) <= radius^2``.

    precision: float64 [2, 2], symmetric and positive. level: the share of labels it was made to hold (see `calibrate`).
    groups: how many people (clips where people are unknown) it was calibrated on.

    Raises:
        NeuvaError: if precision is not symmetric and positive, or a number is outside its range.
    """

    precision: np.ndarray
    radius: float
    level: float
    groups: int

    def __post_init__(self) -> None:
        precision = np.asarray(self.precision, np.float64)
        good = precision.shape == (2, 2) and np.isfinite(precision).all() and np.allclose(precision, precision.T)
        if not good or np.linalg.eigvalsh(precision).min() <= 0:
            raise NeuvaError(
                f"region: precision {precision.tolist()} is not symmetric and positive: calibrate it again"
            )
        if not (0 < self.level < 1 and self.radius >= 0 and math.isfinite(self.radius) and self.groups > 0):
            raise NeuvaError(f"region: level {self.level}, radius {self.radius}, {self.groups} people: impossible")
        object.__setattr__(self, "precision", precision)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Region) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    @property
    def area(self) -> float:
        """Area on the plane, of which [-1, 1]^2 is 4."""
        return math.pi * self.radius**2 / math.sqrt(np.linalg.det(self.precision))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "precision": self.precision.tolist()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Region:
        """The inverse of `to_dict`.

        Raises:
            NeuvaError: if a key is missing or unknown.
        """
        try:
            return cls(**{**values, "precision": np.array(values["precision"], np.float64)})
        except (KeyError, TypeError) as error:
            raise NeuvaError(f"not a region of this version ({error}): calibrate it again") from error

    def holds(self, estimates: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """bool [N]: whether each label [N, 2] is within its estimate's region."""
        return distance(labels - estimates, self.precision) <= self.radius


def distance(residuals: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Mahalanobis distance [N] of residuals [N, 2]."""
    return np.sqrt(np.einsum("ni,ij,nj->n", residuals, precision, residuals))


def fewest(level: float) -> int:
    """Groups that a region of this level takes at least: one for its shape, and K with K / (K + 1) >= level."""
    return 1 + math.ceil(level / (1 - level) - ROUNDING)


def calibrate(estimates: np.ndarray, labels: np.ndarray, groups: np.ndarray, level: float) -> Region:
    """The conformal region of estimates and labels, both [N, 2], that come in groups: of one person, or one clip.

    The labels of a group tell of one another, so groups count, not labels. Some groups, half of them if enough are
    left, give the ellipse's shape, the inverse covariance of their residuals, and no more (split conformal: Lei et al.,
    JASA 113, 2018). Each of the other K has the weight 1 / (K + 1), shared evenly by its labels, and 1 / (K + 1) lies
    at infinity; the radius is the smallest that holds the weight `level` (hierarchical conformal prediction: Dunn,
    Wasserman and Ramdas, JASA 118, 2023; Lee, Barber and Willett, arXiv 2306.06342).

    A label drawn from a new group then lies inside with a chance of at least `level`, if the new group is drawn as
    these were: on average over what it is calibrated on, not for each person, light or moment.

    Args:
        groups: [N], what each label belongs to.

    Raises:
        NeuvaError: if there are fewer than `fewest` groups, or the residuals that give the shape lie on a line.
    """
    residuals = np.asarray(labels, np.float64) - np.asarray(estimates, np.float64)
    names, group = np.unique(groups, return_inverse=True)
    needed = fewest(level)
    if len(names) < needed:
        raise NeuvaError(
            f"a {level:.0%} region takes labels of at least {needed} people (clips where people are unknown), here are "
            f"{len(names)}: calibrate on more"
        )
    shaping = min(len(names) // 2, len(names) - needed + 1)
    precision = _precision(residuals[group < shaping])
    ranked, weight = distance(residuals, precision)[group >= shaping], group[group >= shaping] - shaping
    share = 1 / ((len(names) - shaping + 1) * np.bincount(weight)[weight])
    order = np.argsort(ranked)
    held = np.cumsum(share[order])
    radius = ranked[order][np.searchsorted(held, level - ROUNDING)]
    return Region(precision, float(radius), level, len(names))


def _precision(residuals: np.ndarray) -> np.ndarray:
    spread = np.cov(residuals, rowvar=False) if len(residuals) > 1 else np.zeros((2, 2))
    if np.linalg.det(spread) <= 1e-12:
        raise NeuvaError("region: the residuals lie on a line: labels or estimates are constant, or too few")
    precision = np.linalg.inv(spread)
    return (precision + precision.T) / 2
