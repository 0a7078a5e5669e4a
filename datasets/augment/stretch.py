"""Time stretched: the same face, faster or slower, and its labels with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.augment.base import Augmentation, Range, check_range, drawn


def stretch_time(times: np.ndarray, origin: int, factor: float) -> np.ndarray:
    """``t' = origin + floor((t - origin) factor)``, int64 microseconds; what is sorted stays sorted."""
    return origin + np.floor((times.astype(np.int64) - origin) * factor).astype(np.int64)


@dataclass(frozen=True, eq=False)
class StretchTime(Augmentation):
    """Time stretched from the first event on: by 2, all takes twice as long. factor: 0.1 to 10.

    Labels of a `Sample` follow by the same equation. Tonic's ``TimeSkew`` is the same for recordings that start at 0;
    on a camera's own clock it stretches the time before the recording too.
    """

    factor: Range = (0.8, 1.25)

    def __post_init__(self) -> None:
        check_range("time stretch", self.factor, 0.1, 10)

    def _change(self, events: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return self._change_both(events, np.empty(0, np.int64), random)[0]

    def _change_both(
        self, events: np.ndarray, times: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        factor, out = drawn(self.factor, random), events.copy()
        known = events["t"] if len(events) else times
        origin = int(known[0]) if len(known) else 0
        out["t"] = stretch_time(events["t"], origin, factor)
        return out, stretch_time(times, origin, factor)
