"""Steps of a clocked network: frames on a fixed grid of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.events import Events
from datasets.representations.frames import Kind, check_kind, gather
from datasets.representations.grid import GridTransform, check_grid, step_ranges


def to_steps(events: Events, dt_us: int, steps: int, start_us: int, kind: Kind = "binary") -> np.ndarray:
    """Events of [start_us, start_us + steps dt_us) sorted into steps, [T, 2, H, W] with channels (OFF, ON).

    Step k holds the events with ``start_us + k dt_us <= t < start_us + (k + 1) dt_us``. "binary": uint8, 1 where there
    is any event (at most one spike a pixel, polarity and step); "counts": int16, their number, at most 32,767.

    Raises:
        NeuvaError: if dt_us or steps is below 1 or kind is neither.
    """
    check_grid(dt_us, steps)
    check_kind(kind)
    return gather(events, step_ranges(events, dt_us, steps, start_us), kind)


@dataclass(frozen=True)
class ToSteps(GridTransform):
    """`to_steps` as a Tonic transform; the grid is that of `GridTransform`.

    Raises:
        NeuvaError: as `GridTransform`, and if kind is neither.
    """

    kind: Kind = "binary"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_kind(self.kind)

    def _tensor(self, events: Events, steps: int, start_us: int) -> np.ndarray:
        return to_steps(events, self.dt_us, steps, start_us, self.kind)
