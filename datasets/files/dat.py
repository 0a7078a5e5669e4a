"""Prophesee's DAT, version 2 (.dat): records of 8 bytes.

Layout: https://docs.prophesee.ai/stable/data/file_formats/dat.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numba import int64, njit

from datasets.events import Events
from datasets.files.format import Format, Recording
from datasets.files.prophesee import CLOCK, HIGH, Coding, decoded, first_state, read_header, turns, write_coded
from neuva import NeuvaError

TURN = 1 << 32  # us
LONGEST_GAP = TURN // 2 - 1  # us: after a longer one the reader would take the shorter way round
CD = 0x0C  # kind of event in the two bytes before the records; 0x00 in older files
SIZE = 8


@njit(cache=True)
def decode(words: np.ndarray, begin: int, events: np.ndarray, count: int, state: np.ndarray) -> tuple[int, int]:
    """t in bits 0..31, x in 32..45, y in 46..59, p in 60..63."""
    clock, last = state[CLOCK], state[HIGH]
    while begin < len(words) and count < len(events):
        word, event = words[begin], events[count]
        t = word & 0xFFFFFFFF
        clock += turns(last, t, TURN) * TURN
        last = t
        event.t = clock + t
        event.x = (word >> 32) & 0x3FFF
        event.y = (word >> 46) & 0x3FFF
        event.p = (word >> 60) & 0xF
        begin += 1
        count += 1
    state[CLOCK], state[HIGH] = clock, last
    return begin, count


@njit(cache=True)
def encode(events: np.ndarray, begin: int, words: np.ndarray, count: int, state: np.ndarray) -> tuple[int, int]:
    """The way back; the upper bits of t are left to the reader, who counts the turns."""
    while begin < len(events) and count < len(words):
        event = events[begin]
        t = (event.t - state[CLOCK]) & 0xFFFFFFFF
        words[count] = int64(event.p) << 60 | int64(event.y) << 46 | int64(event.x) << 32 | t
        begin += 1
        count += 1
    return begin, count


CODING = Coding("DAT", "<i8", TURN, 1 << 14, LONGEST_GAP, 1, decode, encode)


def open_file(path: Path) -> Recording:
    """DAT version 2 with CD events; the sensor size from the header where it tells.

    Raises:
        NeuvaError: for another version or kind of event.
    """
    header = read_header(path)
    version = re.search(r"^% version (\d+)", header.text, re.MULTILINE | re.IGNORECASE)
    with path.open("rb") as file:
        file.seek(header.end)
        kind = file.read(2)
    if version is None or version[1] != "2" or kind not in (bytes((0, SIZE)), bytes((CD, SIZE))):
        raise NeuvaError(f"{path}: not DAT version 2 with CD events of 8 bytes, the only DAT read here")
    return Recording(header.sensor_size, decoded(path, header.end + 2, CODING, first_state(path, header)))


def write(path: Path, sensor_size: tuple[int, int], pieces: Iterator[Events]) -> None:
    """DAT version 2."""
    header = f"% Data file containing CD events.\n% Version 2\n% Height {sensor_size[1]}\n% Width {sensor_size[0]}\n"
    write_coded(path, CODING, header, sensor_size, pieces, bytes((CD, SIZE)))


FORMAT = Format(open_file, start=b"% ", suffix=".dat", write=write)
