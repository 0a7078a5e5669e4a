"""Prophesee's EVT 2.0, a word of 32 bits an event, and EVT 2.1, a word of 64 bits for up to 32 pixels of a row (.raw).

Layouts: https://docs.prophesee.ai/stable/data/encoding_formats/evt2.html and evt21.html.
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

TURN = 1 << 34  # us: TIME_HIGH has 28 bits, the events' own time 6
HIGH_TURN = 1 << 28  # of TIME_HIGH
LONGEST_GAP = 1 << 50  # us, 36 years


@njit(cache=True)
def _later(value: int, state: np.ndarray) -> None:
    """Take in a TIME_HIGH."""
    state[CLOCK] += turns(state[HIGH], value, HIGH_TURN) * TURN
    state[HIGH] = value


@njit(cache=True)
def decode_evt2(words: np.ndarray, begin: int, events: np.ndarray, count: int, state: np.ndarray) -> tuple[int, int]:
    """Kind in bits 28..31; CD_OFF 0 and CD_ON 1 with t 22..27, x 11..21, y 0..10; TIME_HIGH 8 with 28 bits of time.

    Words before the first TIME_HIGH have no time and are left out.
    """
    time, known = state[CLOCK] + (state[HIGH] << 6), state[HIGH] >= 0
    while begin < len(words) and count < len(events):
        word = words[begin]
        begin += 1
        kind = word >> 28
        if kind <= 1:
            event = events[count]
            event.t = time + ((word >> 22) & 0x3F)
            event.x = (word >> 11) & 0x7FF
            event.y = word & 0x7FF
            event.p = kind
            count += known
        elif kind == 8:
            _later(int64(word & 0xFFFFFFF), state)
            time, known = state[CLOCK] + (state[HIGH] << 6), True
    return begin, count


@njit(cache=True)
def decode_evt21(words: np.ndarray, begin: int, events: np.ndarray, count: int, state: np.ndarray) -> tuple[int, int]:
    """Kind in bits 60..63; EVT_NEG 0, EVT_POS 1 with t 54..59, x 43..53, y 32..42, pixels 0..31; TIME_HIGH 8 in 32..59.

    x is that of the first pixel, bit 0; each further bit is the pixel to the right.
    Words before the first TIME_HIGH have no time and are left out.
    """
    time, known = state[CLOCK] + (state[HIGH] << 6), state[HIGH] >= 0
    while begin < len(words) and count + 32 <= len(events):
        word = words[begin]
        begin += 1
        kind = (word >> 60) & 0xF
        if kind <= 1 and known:
            x, pixels = (word >> 43) & 0x7FF, word & 0xFFFFFFFF
            while pixels:
                if pixels & 1:
                    event = events[count]
                    event.t = time + ((word >> 54) & 0x3F)
                    event.x = x
                    event.y = (word >> 32) & 0x7FF
                    event.p = kind
                    count += 1
                pixels >>= 1
                x += 1
        elif kind == 8:
            _later((word >> 32) & 0xFFFFFFF, state)
            time, known = state[CLOCK] + (state[HIGH] << 6), True
    return begin, count


@njit(cache=True)
def encode_evt2(events: np.ndarray, begin: int, words: np.ndarray, count: int, state: np.ndarray) -> tuple[int, int]:
    """A TIME_HIGH where it changes, then the event's word."""
    while begin < len(events) and count < len(words):
        event = events[begin]
        t = event.t - state[CLOCK]
        if t >> 6 != state[HIGH]:
            state[HIGH] = next_high(state[HIGH], t >> 6, HIGH_TURN)
            words[count] = 8 << 28 | state[HIGH] & 0xFFFFFFF
        else:
            words[count] = int64(event.p) << 28 | (t & 0x3F) << 22 | int64(event.x) << 11 | event.y
            begin += 1
        count += 1
    return begin, count


@njit(cache=True)
def encode_evt21(events: np.ndarray, begin: int, words: np.ndarray, count: int, state: np.ndarray) -> tuple[int, int]:
    """A TIME_HIGH where it changes, then a word for events in a row that differ in x alone and run to the right."""
    while begin < len(events) and count < len(words):
        event = events[begin]
        t, base = event.t - state[CLOCK], int64(event.x) & ~31
        if t >> 6 != state[HIGH]:
            state[HIGH] = next_high(state[HIGH], t >> 6, HIGH_TURN)
            words[count] = (8 << 28 | state[HIGH] & 0xFFFFFFF) << 32
        else:
            pixels, x = 0, -1
            while begin < len(events):
                other = events[begin]
                if other.t != event.t or other.y != event.y or other.p != event.p:
                    break
                if other.x <= x or other.x >= base + 32:
                    break
                x = other.x
                pixels |= 1 << (x - base)
                begin += 1
            head = int64(event.p) << 28 | (t & 0x3F) << 22 | base << 11 | event.y
            words[count] = head << 32 | pixels
        count += 1
    return begin, count


EVT2_CODING = Coding("EVT2", "<u4", TURN, 2048, LONGEST_GAP, 1, decode_evt2, encode_evt2)
EVT21_CODING = Coding("EVT2.1", "<i8", TURN, 2048, LONGEST_GAP, 32, decode_evt21, encode_evt21)


def open_evt2(path: Path) -> Recording:
    """EVT 2.0; the sensor size from the header where it tells."""
    header = read_header(path)
    return Recording(header.sensor_size, decoded(path, header.end, EVT2_CODING, first_state(path, header)))


def open_evt21(path: Path) -> Recording:
    """EVT 2.1; the sensor size from the header where it tells. IMX636 sends the upper half of each word first."""
    header = read_header(path)
    arrange = _halves_swapped if "endianness=legacy" in header.text else None
    return Recording(header.sensor_size, decoded(path, header.end, EVT21_CODING, first_state(path, header), arrange))


def _halves_swapped(words: np.ndarray) -> np.ndarray:
    return words.view("<i4").reshape(-1, 2)[:, ::-1].copy().view("<i8")[:, 0]


def write_evt2(path: Path, sensor_size: tuple[int, int], pieces: Iterator[Events]) -> None:
    """EVT 2.0."""
    write_coded(path, EVT2_CODING, raw_header("2.0", "EVT2", sensor_size), sensor_size, pieces)


def write_evt21(path: Path, sensor_size: tuple[int, int], pieces: Iterator[Events]) -> None:
    """EVT 2.1."""
    write_coded(path, EVT21_CODING, raw_header("2.1", "EVT21", sensor_size), sensor_size, pieces)


EVT2 = Format(open_evt2, start=HEADER_LINES + rb"% (evt 2\.0|format EVT2)[;\s]", write=write_evt2)
EVT21 = Format(open_evt21, start=HEADER_LINES + rb"% (evt 2\.1|format EVT21)[;\s]", write=write_evt21)
