"""How long a core works on an event, and how many may wait for it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import yaml

from neuva import NeuvaError

_MOST_NS = 1 << 40


@dataclass(frozen=True)
class Timing:
    """One core's times; the same for all cores, whose differences are not published.

    work = event_ns + 1e9 * synapses reached / synops_per_s, in nanoseconds, rounded.

    synops_per_s: synaptic operations per second, the core's ceiling.
    event_ns: what each event costs besides its synapses, in nanoseconds.
    buffer: events that may wait, the one at work not counted.

    Raises:
        NeuvaError: if one of them is out of range.
    """

    synops_per_s: float
    event_ns: int
    buffer: int

    def __post_init__(self) -> None:
        if not (1 <= self.synops_per_s < np.inf and 0 <= self.event_ns < _MOST_NS and 1 <= self.buffer < _MOST_NS):
            raise NeuvaError(
                f"a core with {self.synops_per_s} synaptic operations a second, {self.event_ns} ns an event and a "
                f"buffer of {self.buffer}: allowed are at least 1, 0 and 1"
            )

    @classmethod
    def load(cls) -> Timing:
        """The times of timing.yaml, each with its source or as an assumption there."""
        table = yaml.safe_load((files(__package__) / "timing.yaml").read_text())
        return cls(**{key: entry["value"] for key, entry in table.items()})

    def work_ns(self, synapses: np.ndarray) -> np.ndarray:
        """Nanoseconds of work for events that reach so many synapses, int64 and at least 1."""
        return np.maximum(1, self.event_ns + np.rint(synapses * (1e9 / self.synops_per_s)).astype(np.int64))
