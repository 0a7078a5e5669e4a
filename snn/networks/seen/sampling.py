"""E-S sampling: which frames of a sequence a clip is made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neuva import NeuvaError

PHASES = 5
"""Phases drawn from where frames are left out, whatever the stride (published code)."""


class Sampling(NamedTuple):
    """E{x}-S{y}: a clip of `duration` = x event frames, of which each but the last is followed by y that are left out.

    stride: y + 1. The clip spans x + (x - 1) y frames.
    """

    duration: int
    stride: int


SAMPLINGS: dict[str, Sampling] = {
    "E4-S0": Sampling(4, 1),
    "E4-S1": Sampling(4, 2),
    "E4-S3": Sampling(4, 4),
    "E7-S0": Sampling(7, 1),
    "E7-S1": Sampling(7, 2),
    "E13-S0": Sampling(13, 1),
}
"""The published settings by name."""


def sample(length: int, duration: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """Indices, int64 [duration], of a random clip of a sequence of `length` frames (Zhang et al. 2023, their code).

    With a stride above 1, every stride-th frame from a random phase in 0 .. 4 on is kept, else all n = length; of the
    n kept, `duration` in a row from a random start in 0 .. max(0, n - duration - 1); what is too short begins again
    from its start. As published, the phase may exceed the stride and the last start possible is never drawn. Of a
    sequence shorter than 5 frames, which SEE has none of, the phase stays within it.

    Raises:
        NeuvaError: if there is no frame, or duration or stride is below 1.
    """
    if min(length, duration, stride) < 1:
        raise NeuvaError(
            f"a clip of {duration} frames at stride {stride} cannot be taken from {length} frames: "
            "all must be at least 1; leave empty sequences out"
        )
    phase = rng.integers(min(PHASES, length)) if stride > 1 else 0
    kept = np.arange(phase, length, stride)
    start = rng.integers(max(0, len(kept) - duration - 1) + 1)
    return np.resize(kept[start : start + duration], duration)  # numpy's resize repeats
