"""Smooth random paths through the circumplex of valence and arousal."""

from __future__ import annotations

import numpy as np

from datasets.faces.signals import Wander, glide

_HOLD = (0.2, 0.9)  # seconds at a target
_MOVE = (0.8, 1.8)  # seconds from one target to the next; hold and move make 1 to 3 s
_OUTWARD = 0.4  # a target's radius is u^0.4: a little further out than even, as moves cut across the disc
_DRIFT = 0.05  # deviation of the slow wander around the path


class AffectPath:
    """Valence, arousal and (hidden) dominance as functions of time, all within the unit disc or [-1, 1].

    The path glides between targets drawn over the whole disc, low arousal included, every 1 to 3 s.
    """

    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        hold, move = (rng.uniform(*span, size=int(seconds / (_HOLD[0] + _MOVE[0])) + 2) for span in (_HOLD, _MOVE))
        # The first move may have begun before the clip, so that time 0 is nothing special.
        self._times = np.cumsum(hold + move) - move - rng.uniform(0, hold[0] + move[0])
        self._moves = move
        radius = rng.uniform(0, 1, len(move) + 1) ** _OUTWARD
        angle = rng.uniform(0, 2 * np.pi, len(move) + 1)
        self._targets = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        self._drift = Wander(rng, 0.8), Wander(rng, 0.8)
        self._dominance = Wander(rng, 0.25)

    def __call__(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Valence, arousal and dominance at times t (seconds), [T] each."""
        point = glide(t, self._times, self._targets, self._moves)
        point = point + _DRIFT * np.stack([drift(t) for drift in self._drift], axis=1)
        point /= np.maximum(np.hypot(point[:, 0], point[:, 1]), 1.0)[:, None]
        return point[:, 0], point[:, 1], np.clip(0.8 * self._dominance(t), -1, 1)
