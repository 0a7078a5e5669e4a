"""One clip with its labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datasets.events import Events
from neuva import NeuvaError


@dataclass(frozen=True, eq=False)  # arrays have no plain equality
class Sample:
    """Events of one clip and its labels at the labels' own times.

    events: the clip's events.
    label_times: int64 [N], microseconds on the events' clock, never running backwards.
    labels: float32 [N, 2], valence and arousal in [-1, 1], in that order.
    mask: bool [N], False where the data set says a label is invalid.
    meta: what else is known (clip name, subject, lighting, expression, action units, ...).

    Raises:
        NeuvaError: if the lengths disagree, label times run backwards or a valid label lies outside [-1, 1].
    """

    events: Events
    label_times: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.label_times)
        if self.labels.shape != (n, 2) or self.mask.shape != (n,):
            raise NeuvaError(
                f"{n} label times need labels [{n}, 2] and mask [{n}]; got {self.labels.shape} and {self.mask.shape}"
            )
        backwards = np.flatnonzero(self.label_times[1:] < self.label_times[:-1])
        if len(backwards):
            row = int(backwards[0]) + 1
            raise NeuvaError(
                f"label {row} at {self.label_times[row]} us comes before the one above it: sort the labels"
            )
        valid = self.labels[self.mask]
        if not np.all(np.abs(valid) <= 1):
            row = int(np.argmax(~np.all(np.abs(self.labels) <= 1, axis=1) & self.mask))
            raise NeuvaError(f"label {row} is {self.labels[row].tolist()}, outside [-1, 1]: scale or mask it")
