"""The estimates of a task on the clips a split scores, kept as one .npz file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuva import atomic_path

FILE = "estimates.npz"


@dataclass(frozen=True, eq=False)
class ClipEstimates:
    """Of one clip of n frames.

    times_us: int64 [n]. estimate: float32 [n, K], valence and arousal, or the shares (in [0, 1]) given to expressions
    or units. target: [n, ...], as the store has it. valid: bool [n], frames that have a label.
    """

    name: str
    times_us: np.ndarray
    estimate: np.ndarray
    target: np.ndarray
    valid: np.ndarray


def write_estimates(folder: Path, clips: Sequence[ClipEstimates]) -> None:
    """Write `FILE`: the columns of all clips one after the other, their names and lengths."""
    with atomic_path(folder / FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            names=np.array([clip.name for clip in clips]),
            lengths=np.array([len(clip.valid) for clip in clips], np.int64),
            times_us=np.concatenate([clip.times_us for clip in clips]),
            estimate=np.concatenate([clip.estimate for clip in clips]),
            target=np.concatenate([clip.target for clip in clips]),
            valid=np.concatenate([clip.valid for clip in clips]),
        )


def read_estimates(folder: Path) -> list[ClipEstimates]:
    """What `write_estimates` wrote."""
    with np.load(folder / FILE, allow_pickle=False) as kept:
        ends = np.cumsum(kept["lengths"])[:-1]
        columns = [np.split(kept[key], ends) for key in ("times_us", "estimate", "target", "valid")]
        return [ClipEstimates(str(name), *rows) for name, *rows in zip(kept["names"], *columns, strict=True)]
