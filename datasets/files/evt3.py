"""Prophesee's EVT 3.0 (.raw): words of 16 bits that tell only what changes.

Layout: https://docs.prophesee.ai/stable/data/encoding_formats/evt3.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numba import int64, njit

from datasets.events import Events
from datasets.files.format import Format, Recording
from datasets.files.prophesee import (
    CLOCK,
    HEADER_LINES,
    HIGH,
    Coding,
    decoded,
    first_state,
    next_high,
    raw_header,
    read_header,
    turns,
    write_coded,
)

ADDR_Y, ADDR_X, VECT_BASE_X, VECT_12, VECT_8, TIME_LOW, TIME_HIGH = 0, 2, 3, 4, 5, 6, 8
LOW, ROW, BASE, ON = 2, 3, 4, 5
"""Places in the state: TIME_LOW, ADDR_Y, and column and polarity of the next vector."""
TURN = 1 << 24  # us: TIME_HIGH and TIME_LOW have 12 bits each
HIGH_TURN = 1 << 12  # of TIME_HIGH
LONGEST_GAP = 1 << 40  # us, 12 days
WORTHWHILE = 3  # events in 12 columns from which on a vector (two words) is shorter


@njit(cache=True)
def decode(words: np.ndarray, begin: int, events: np.ndarray, count: int, state: np.ndarray) -> tuple[int, int]:
    """Kind in bits 12..15, its value below; a vector has a bit a column, from the base column on, and moves the base.

    t = turns << 24 | TIME_HIGH << 12 | TIME_LOW, where TIME_LOW may jitter. Words before the first TIME_HIGH have no
    time and are left out.
    """
    clock, high, low, row, base, on = state[CLOCK], state[HIGH], state[LOW], state[ROW], state[BASE], state[ON]
    time = clock + (high << 12) + low
    while begin < len(words) and count + 12 <= len(events):
        word = int64(words[begin])
        begin += 1
        kind, value = word >> 12, word & 0xFFF
        if kind == ADDR_X:
            event = events[count]
            event.t, event.x, event.y, event.p = time, value & 0x7FF, row, value >> 11
            count += high >= 0
        elif kind == ADDR_Y:
            row = value & 0x7FF
        elif kind in (VECT_12, VECT_8):
            columns, x = value if kind == VECT_12 else value & 0xFF, base
            while columns and high >= 0:
                event = events[count]  # written whether the bit is set or not: a branch would cost more
                event.t, event.x, event.y, event.p = time, x, row, on
                count += columns & 1
                columns >>= 1
                x += 1
            base += 12 if kind == VECT_12 else 8
        elif kind == TIME_LOW:
            low = value
            time = clock + (high << 12) + low
        elif kind == VECT_BASE_X:
            base, on = value & 0x7FF, value >> 11
        elif kind == TIME_HIGH:
            clock += turns(high, value, HIGH_TURN) * TURN
            high = value
            time = clock + (high << 12) + low
    state[CLOCK], state[HIGH], state[LOW], state[ROW], state[BASE], state[ON] = clock, high, low, row, base, on
    return begin, count


@njit(cache=True)
def encode(events: np.ndarray, begin: int, words: np.ndarray, count: int, state: np.ndarray) -> tuple[int, int]:
    """A word at a time: first what changed of the time and the row, then one event or a vector of those in a row."""
    while begin < len(events) and count < len(words):
        event = events[begin]
        t, x, p = event.t - state[CLOCK], int64(event.x), int64(event.p)
        if t >> 12 != state[HIGH]:
            state[HIGH], state[LOW] = next_high(state[HIGH], t >> 12, HIGH_TURN), -1
            word = TIME_HIGH << 12 | state[HIGH] & 0xFFF
        elif t & 0xFFF != state[LOW]:
            state[LOW], state[BASE] = t & 0xFFF, -1
            word = TIME_LOW << 12 | t & 0xFFF
        elif event.y != state[ROW]:
            state[ROW], state[BASE] = event.y, -1
            word = ADDR_Y << 12 | event.y
        elif 0 <= state[BASE] <= x < state[BASE] + 12 and p == state[ON]:
            columns, begin = _vector(events, begin, state[BASE])
            state[BASE] += 12
            word = VECT_12 << 12 | columns
        elif _vector(events, begin, x)[1] - begin >= WORTHWHILE:
            state[BASE], state[ON] = x, p
            word = VECT_BASE_X << 12 | p << 11 | x
        else:
            begin += 1
            state[BASE] = -1
            word = ADDR_X << 12 | p << 11 | x
        words[count] = word
        count += 1
    return begin, count


@njit(cache=True)
def _vector(events: np.ndarray, begin: int, base: int) -> tuple[int, int]:
    """Bits of the 12 columns from `base` that the events from `begin` on fill, to the right, and the event after."""
    first = events[begin]
    columns, x = 0, -1
    while begin < len(events):
        event = events[begin]
        if event.t != first.t or event.y != first.y or event.p != first.p or not x < event.x < base + 12:
            break
        x = int64(event.x)
        columns |= 1 << (x - base)
        begin += 1
    return columns, begin


CODING = Coding("EVT3", "<u2", TURN, 2048, LONGEST_GAP, 12, decode, encode)


def open_file(path: Path) -> Recording:
    """EVT 3.0; the sensor size from the header where it tells."""
    header = read_header(path)
    return Recording(header.sensor_size, decoded(path, header.end, CODING, first_state(path, header)))


def write(path: Path, sensor_size: tuple[int, int], pieces: Iterator[Events]) -> None:
    """EVT 3.0 with vectors of 12 columns."""
    write_coded(path, CODING, raw_header("3.0", "EVT3", sensor_size), sensor_size, pieces)


FORMAT = Format(open_file, start=HEADER_LINES + rb"% (evt 3\.0|format EVT3)[;\s]", write=write)
