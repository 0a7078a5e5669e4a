"""Compares two runs of the same network on the same clips: spikes per layer and estimates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ClipRun:
    """One clip at one level of the certificate.

    spikes: counts [T, C, H, W] per layer. va: the read-out's outputs [N, K], valence and arousal or others; K = 0
    without a read-out.
    """

    spikes: dict[str, np.ndarray]
    va: np.ndarray


@dataclass
class _LayerSums:
    """Running sums of one layer over clips."""

    left: int = 0
    right: int = 0
    mismatches: int = 0
    first: tuple[int, int] | None = None
    rates: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(self, clip: int, a: np.ndarray, b: np.ndarray) -> None:
        self.left += int(a.sum())
        self.right += int(b.sum())
        different = a != b
        self.mismatches += int(np.count_nonzero(different))
        if self.first is None and different.any():
            self.first = (clip, int(np.argmax(different.any(axis=(1, 2, 3)))))
        self.rates.append((a.mean(0).ravel(), b.mean(0).ravel()))

    def correlation(self) -> float | None:
        a, b = (np.concatenate(part) for part in zip(*self.rates, strict=True))
        if a.std() == 0 or b.std() == 0:
            return None
        return float(np.corrcoef(a, b)[0, 1])


ROUNDING = 1e-5
"""How far estimates from equal spikes may lie apart: the read-out is computed in floats."""


class Comparison:
    """Level `left` against level `right`, fed clip by clip.

    A mismatch is a neuron and step whose spike counts differ. The rate correlation is Pearson's over all
    neurons and clips of their mean spikes a step.
    """

    def __init__(self, left: str, right: str, *, must_be_equal: bool) -> None:
        self.left, self.right, self.must_be_equal = left, right, must_be_equal
        self._layers: dict[str, _LayerSums] = {}
        self._differences: list[np.ndarray] = []
        self.clips = 0

    def add(self, a: ClipRun, b: ClipRun) -> None:
        """One clip at both levels."""
        for layer in a.spikes:
            sums = self._layers.setdefault(layer, _LayerSums())
            sums.add(self.clips, a.spikes[layer], b.spikes[layer])
        self._differences.append(np.abs(a.va - b.va))
        self.clips += 1

    @property
    def mismatches(self) -> int:
        """Mismatches of all layers and clips."""
        return sum(sums.mismatches for sums in self._layers.values())

    @property
    def ok(self) -> bool:
        """Whether it is as equal as it must be."""
        return not self.must_be_equal or (self.mismatches == 0 and self._largest <= ROUNDING)

    @property
    def reason(self) -> str:
        """What is measured against what is allowed."""
        spikes, estimates = self.mismatches, self._largest
        return f"{spikes} mismatched spikes, allowed 0; estimates differ by {estimates:.2g}, allowed {ROUNDING}"

    @property
    def _largest(self) -> float:
        return max((float(difference.max()) for difference in self._differences if difference.size), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-serialisable; a first difference is given as the step in the first clip that differs."""
        differences = np.concatenate([each.ravel() for each in self._differences]) if self._differences else np.zeros(1)
        return {
            "from": self.left,
            "to": self.right,
            "clips": self.clips,
            "layers": [
                {
                    "layer": name,
                    "spikes_from": sums.left,
                    "spikes_to": sums.right,
                    "mismatches": sums.mismatches,
                    "first_difference": None if sums.first is None else sums.first[1],
                    "first_difference_clip": None if sums.first is None else sums.first[0],
                    "rate_correlation": sums.correlation(),
                }
                for name, sums in self._layers.items()
            ],
            "output": None
            if not differences.size
            else {"largest_difference": self._largest, "mean_difference": float(differences.mean())},
            "must_be_equal": self.must_be_equal,
            "ok": self.ok,
        }
