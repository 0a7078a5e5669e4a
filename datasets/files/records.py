"""What several readers share: records of a fixed size, piece by piece, and columns of any integers as events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from datasets.events import EVENT_DTYPE
from datasets.files.format import PIECE, Damage


def read_records(path: Path, start: int, dtype: np.dtype) -> Iterator[np.ndarray]:
    """The records from byte `start` to the end of the file, `PIECE` at a time.

    Raises:
        Damage: if the file ends inside a record.
    """
    size = dtype.itemsize
    with path.open("rb") as file:
        file.seek(start)
        while data := file.read(PIECE * size):
            whole = len(data) // size
            if whole:
                yield np.frombuffer(data, dtype, whole)
            if len(data) % size:
                raise Damage(f"cut off inside a record of {size} bytes", file.tell() - len(data) % size)


def without_turns(t: np.ndarray, turn: int, last: int | None) -> np.ndarray:
    """Times that start again at 0 after `turn`, made to go on by the shorter way round.

    A large step back is a turn; a large step forward is jitter back over one, save in the first turn. A later silence
    of over half a turn cannot be told from such jitter.

    t: [N], N > 0, as they stand in the file. last: the time that this gave for the event before, None at the start.
    """
    low = t.astype(np.int64)
    before = int(low[0]) if last is None else last
    steps = np.diff(low, prepend=before % turn)
    turns = before // turn - np.cumsum(np.rint(steps / turn).astype(np.int64))
    return low + (turns - np.minimum(np.minimum.accumulate(turns), 0)) * turn  # never back beyond the first


def as_events(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Four columns of integers or booleans as an `EVENT_DTYPE` array.

    What does not fit into its field is held at the field's limit instead of turning over, so that it is seen to lie
    outside the sensor.
    """
    events = np.empty(len(t), EVENT_DTYPE)
    for name, column in zip("txyp", (t, x, y, p), strict=True):
        field = np.iinfo(EVENT_DTYPE[name])
        if len(column) and (column.min() < field.min or column.max() > field.max):
            known = np.iinfo(column.dtype)
            events[name] = np.clip(column, max(field.min, known.min), min(field.max, known.max))
        else:
            events[name] = column
    return events
