"""Files as the ABAW challenges take them: a line a frame, `video/00001.jpg` and what is estimated of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from datasets.aff_wild2.annotations import ACTION_UNITS, EXPRESSIONS
from neuva import NeuvaError, atomic_path
from snn.baselines.sequence import Task

HEADERS: Mapping[Task, tuple[str, ...]] = {
    "valence_arousal": ("valence", "arousal"),
    "expression": EXPRESSIONS,
    "action_units": ACTION_UNITS,
}


def write_submission(path: Path, task: Task, estimates: Mapping[str, np.ndarray]) -> None:
    """Write a task's file; row k of a video is its frame k + 1.

    Args:
        estimates: of each clip by its name: valence and arousal [n, 2], which are clipped to [-1, 1]; number of the
            expression [n]; action units [n, 12], 0 or 1.

    Raises:
        NeuvaError: if an estimate is none of the task's, or the file cannot be written.
    """
    for clip, rows in estimates.items():
        _require(task, clip, rows)
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write(",".join(("image_location", *HEADERS[task])) + "\n")
        for clip, rows in estimates.items():
            file.writelines(f"{clip}/{k + 1:05d}.jpg,{_cells(task, row)}\n" for k, row in enumerate(rows))


def _cells(task: Task, row: np.ndarray) -> str:
    if task == "valence_arousal":
        return ",".join(f"{value:.6f}" for value in np.clip(row, -1, 1))
    return ",".join(str(int(value)) for value in np.atleast_1d(row))


def _require(task: Task, clip: str, rows: np.ndarray) -> None:
    shape = () if task == "expression" else (len(HEADERS[task]),)
    if rows.shape[1:] != shape:
        raise NeuvaError(f"{clip}: estimates of shape {rows.shape} are no {task}: needed is {('n', *shape)}")
    allowed = {"expression": len(EXPRESSIONS), "action_units": 2}.get(task)
    good = np.isfinite(rows) if allowed is None else np.isin(rows, np.arange(allowed))
    if not good.all():
        bad = int(np.flatnonzero(~good.reshape(len(rows), -1).all(1))[0])
        needed = "finite numbers" if allowed is None else f"0..{allowed - 1}"
        raise NeuvaError(f"{clip}: frame {bad + 1} has {rows[bad]} for {task}: needed are {needed}; train it again")
