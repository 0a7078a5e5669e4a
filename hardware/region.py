"""A region of the valence-arousal plane around an estimate that holds the label with a stated chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuva import NeuvaError


@dataclass(frozen=True, eq=False)  # an array has no plain equality
class Region:
    """An ellipse around each estimate e: the labels y with ``(y - e)^T precision (y - e) <= radius^2``.

    precision: float64 [2, 2], symmetric and positive. level: the share of labels it was made to hold.
    clips: how many clips it was calibrated on; labels of one clip are not independent, so this, not the number of
    estimates, says how sure the level is.

    Raises:
        NeuvaError: if precision is not symmetric and positive, or a number is outside its range.
    """

    precision: np.ndarray
    radius: float
    level: float
    clips: int

    def __post_init__(self) -> None:
        precision = np.asarray(self.precision, np.float64)
        good = precision.shape == (2, 2) and np.isfinite(precision).all() and np.allclose(precision, precision.T)
        if not good or np.linalg.eigvalsh(precision).min() <= 0:
            raise NeuvaError(
                f"region: precision {precision.tolist()} is not symmetric and positive: calibrate it again"
            )
        if not (0 < self.level < 1 and self.radius >= 0 and math.isfinite(self.radius) and self.clips > 0):
            raise NeuvaError(f"region of level {self.level}, radius {self.radius}, from {self.clips} clips: impossible")
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
        """The inverse of `to_dict`."""
        return cls(**{**values, "precision": np.array(values["precision"], np.float64)})

    def holds(self, estimates: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """bool [N]: whether each label [N, 2] is within its estimate's region."""
        return distance(labels - estimates, self.precision) <= self.radius


def distance(residuals: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Mahalanobis distance [N] of residuals [N, 2]."""
    return np.sqrt(np.einsum("ni,ij,nj->n", residuals, precision, residuals))


def calibrate(estimates: np.ndarray, labels: np.ndarray, level: float, clips: int) -> Region:
    """The split-conformal region (Lei et al., JASA 113, 2018) of pooled estimates and labels, both [N, 2].

    With the inverse covariance of the residuals as precision, the radius is the ceil((N + 1) level)-th smallest
    distance: exchangeable labels then lie inside with a chance of at least `level`.

    Raises:
        NeuvaError: if there are too few labels for the level, or the residuals lie on a line.
    """
    residuals = np.asarray(labels, np.float64) - np.asarray(estimates, np.float64)
    rank = math.ceil((len(residuals) + 1) * level)
    if len(residuals) < 3 or rank > len(residuals):
        raise NeuvaError(f"{len(residuals)} labels are too few for a region of level {level}: calibrate on more clips")
    spread = np.cov(residuals, rowvar=False)
    if np.linalg.det(spread) <= 1e-12:
        raise NeuvaError("region: the residuals lie on a line: labels or estimates are constant")
    precision = np.linalg.inv(spread)
    precision = (precision + precision.T) / 2
    return Region(precision, float(np.sort(distance(residuals, precision))[rank - 1]), level, clips)
