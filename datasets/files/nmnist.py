"""The 5-byte records of N-MNIST and of DVS128 Gesture as some libraries keep it (.bin)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from datasets.files.format import Format, Recording
from datasets.files.records import as_events, read_records, without_turns

RECORD = np.dtype((np.uint8, 5))
TURN = 1 << 23
OVERFLOW_ROW, OVERFLOW_US = 240, 1 << 13


def open_file(path: Path) -> Recording:
    """Records of 40 bits, big-endian: x in bits 32..39, y in 24..31, p in 23, t in 0..22 (Orchard et al. 2015).

    The file does not tell the sensor size. t turns over after 8.4 s (`without_turns`). A record of row
    240 is no event: it says that the clock has overflown, and all later times are 8192 us later.
    """
    return Recording(None, _pieces(path))


def _pieces(path: Path) -> Iterator[np.ndarray]:
    last, overflows = None, 0
    for records in read_records(path, 0, RECORD):
        x, y, high, middle, low = (column.astype(np.int64) for column in records.T)
        t = without_turns((high & 0x7F) << 16 | middle << 8 | low, TURN, last)
        last = int(t[-1])
        marks = y == OVERFLOW_ROW
        late = overflows + np.cumsum(marks)
        overflows = int(late[-1])
        kept = ~marks
        yield as_events((t + late * OVERFLOW_US)[kept], x[kept], y[kept], high[kept] >> 7)


FORMAT = Format(open_file, suffix=".bin")
