"""Emotions on the wheel of valence and arousal, and the nearest one to an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import yaml

TABLE = Path(__file__).with_name("prototypes.yaml")


@dataclass(frozen=True)
class Wheel:
    """Emotions and their places. names: K; places: [K, 2], valence and arousal in [-1, 1]; source: of the places."""

    names: tuple[str, ...]
    places: np.ndarray
    source: str

    def nearest(self, affect: np.ndarray) -> np.ndarray:
        """Number of the emotion nearest to each estimate [N, 2], by Euclidean distance."""
        return np.linalg.norm(affect[:, None] - self.places[None], axis=2).argmin(1)

    def numbers(self, emotions: list[str]) -> np.ndarray:
        """Number of each emotion; -1 of one that is not on the wheel ("None")."""
        return np.array([self.names.index(each) if each in self.names else -1 for each in emotions], np.int64)


@cache
def wheel() -> Wheel:
    """The seven emotions of NEFER at the ratings of prototypes.yaml, (rating - 5) / 4."""
    told = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    places = (np.array(list(told["ratings"].values()), np.float64) - 5) / 4
    return Wheel(tuple(told["ratings"]), places, " ".join(told["source"].split()))
