"""Brighter and darker exchanged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.augment.base import Augmentation, check_range


def flip_polarity(events: np.ndarray) -> np.ndarray:
    """ON becomes OFF and OFF becomes ON: the events of the negative."""
    out = events.copy()
    out["p"] = out["p"] <= 0
    return out


@dataclass(frozen=True, eq=False)
class FlipPolarity(Augmentation):
    """By chance, the polarity of all events flipped together. As Tonic's ``RandomFlipPolarity`` does."""

    chance: float = 0.5

    def __post_init__(self) -> None:
        check_range("chance", self.chance, 0, 1)

    def _change(self, events: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return flip_polarity(events) if random.random() < self.chance else events.copy()
