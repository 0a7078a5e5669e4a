"""What Prophesee's formats share: a header of text lines, then words of one width, decoded block by block.

Layouts: https://docs.prophesee.ai/stable/data/file_formats/ and .../data/encoding_formats/. They are decoded here and
not by a library, because libraries get the time of EVT3 wrong where TIME_LOW jitters backwards, as it does on Gen4.1
sensors: faery 0.7.1 dates such events up to 11 us too late, expelliarmus 1.1.12 by whole turns of 4 ms.

A clock of theirs turns over (EVT3's after 16.8 s). A recording that starts later than one turn, or before 0, is written
with the line "% time_offset_us N" in its header, N a whole number of turns: our reader adds it, others leave it out and
see the low bits of the time, as from a camera.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from datasets.events import EVENT_DTYPE, Events
from datasets.files.format import Damage
from neuva import NeuvaError

SENSORS = {"gen3": (640, 480), "gen31": (640, 480), "gen4": (1280, 720), "gen41": (1280, 720), "imx636": (1280, 720)}
"""Sensor sizes by the name in `plugin_name`, for recordings older than the geometry line of the header."""

HEADER_LINES = rb"(% [^\n]*\n)*"
BLOCK = 1 << 19  # bytes read or written at once: they stay in the cache
AT_ONCE = 1 << 18  # events handed over at once: so do they, nearly
LONGEST_LINE = 1 << 16
CLOCK, HIGH = 0, 1
"""Places in a coder's state, int64 [STATE]: when the turn of the clock began (us); what the clock showed last within
it (TIME_HIGH, or DAT's whole time), -1 before the first."""
STATE = 8


@dataclass(frozen=True)
class Coding:
    """How events stand in words.

    name: of the format. word: numpy type of its words. turn: microseconds until its clock starts again at 0.
    side: most pixels of a sensor's side. gap: longest time between two events that can be written, microseconds.
    burst: most events of one word.
    decode: (words, begin, events, count, state) decodes words[begin:] into events[count:] as long as a word's events
        surely fit; returns the next `begin` and `count`.
    encode: (events, begin, words, count, state) the same the other way.
    """

    name: str
    word: str
    turn: int
    side: int
    gap: int
    burst: int
    decode: Callable[[np.ndarray, int, np.ndarray, int, np.ndarray], tuple[int, int]]
    encode: Callable[[np.ndarray, int, np.ndarray, int, np.ndarray], tuple[int, int]]


@dataclass(frozen=True)
class Header:
    """The text before the words, and the byte at which these begin."""

    text: str
    end: int

    @property
    def sensor_size(self) -> tuple[int, int] | None:
        """(width, height) where a line tells it or names a camera that is known."""
        text = self.text.lower()
        geometry = re.search(r"% geometry (\d{1,9})x(\d{1,9})", text)
        if geometry:
            return int(geometry[1]), int(geometry[2])
        width, height = re.search(r"\bwidth[ =](\d{1,9})", text), re.search(r"\bheight[ =](\d{1,9})", text)
        if width and height:
            return int(width[1]), int(height[1])
        plugin = re.search(r"% plugin_name hal_plugin_([a-z0-9]+)", text)
        return SENSORS.get(plugin[1]) if plugin else None


def read_header(path: Path) -> Header:
    """The lines that start with "% ", up to "% end" where there is one."""
    lines, end = [], 0
    with path.open("rb") as file:
        while (line := file.readline(LONGEST_LINE)).startswith(b"% "):
            lines.append(line)
            end += len(line)
            if line.strip() == b"% end":
                break
    return Header(b"".join(lines).decode("latin-1"), end)


@njit(cache=True)
def turns(last: int, value: int, turn: int) -> int:
    """Turns of a clock that shows `value` after `last`, by the shorter way round: 1, 0, or -1 for jitter back over one.

    last: -1 where the clock has shown nothing yet.
    """
    if last < 0 or abs(value - last) <= turn // 2:
        return 0
    return 1 if value < last else -1


@njit(cache=True)
def next_high(last: int, high: int, turn: int) -> int:
    """The TIME_HIGH to write after `last` on the way to `high`; all counted over the turns, -1 for none yet.

    Steps stay below half a turn and stop at each turn's last and first value: some readers see it turn only there.
    """
    if last < 0:
        return high
    end = last | (turn - 1)
    return min(high, last + turn // 4, end if last < end else last + 1)


def raw_header(version: str, name: str, sensor_size: tuple[int, int]) -> str:
    """The lines of a .raw file that tell its encoding and the sensor."""
    width, height = sensor_size
    return f"% evt {version}\n% format {name};height={height};width={width}\n% geometry {width}x{height}\n"


def first_state(path: Path, header: Header) -> np.ndarray:
    """A coder's state before the first word.

    Raises:
        NeuvaError: if the time offset in the header is no time.
    """
    state = np.zeros(STATE, np.int64)
    state[HIGH] = -1
    offset = re.search(r"% time_offset_us (-?\d{1,30})\s", header.text)
    if offset:
        if not -(2**63) <= int(offset[1]) < 2**63:
            raise NeuvaError(f"{path}: time_offset_us {offset[1]} in its header is damaged: copy the file again")
        state[CLOCK] = int(offset[1])
    return state


def decoded(
    path: Path, start: int, coding: Coding, state: np.ndarray, arrange: Callable[[np.ndarray], np.ndarray] | None = None
) -> Iterator[np.ndarray]:
    """The events of the words from byte `start` on. arrange: puts the bytes of words in order.

    Raises:
        Damage: if the file ends inside a word.
    """
    block = np.empty(BLOCK, np.uint8)
    size = np.dtype(coding.word).itemsize
    events, count = np.empty(AT_ONCE + coding.burst, EVENT_DTYPE), 0
    with path.open("rb") as file:
        file.seek(start)
        while used := file.readinto(block.data):
            words = block[: used // size * size].view(coding.word)
            words, begin = arrange(words) if arrange else words, 0
            while True:
                begin, count = coding.decode(words, begin, events, count, state)
                if begin == len(words):
                    break
                yield events[:count]
                events, count = np.empty(AT_ONCE + coding.burst, EVENT_DTYPE), 0
            if used % size:
                break
        end = file.tell()
    if count:
        yield events[:count]
    if used % size:
        raise Damage(f"cut off inside its last record of {size} bytes", end - used % size)


def write_coded(
    path: Path, coding: Coding, header: str, sensor_size: tuple[int, int], pieces: Iterator[Events], start: bytes = b""
) -> None:
    """The lines of `header`, a time offset where one is needed, the bytes `start`, and the events' words.

    Raises:
        NeuvaError: if the sensor is too large for the format or nothing happens for too long.
    """
    if max(sensor_size) > coding.side:
        raise NeuvaError(
            f"a sensor of {sensor_size[0]}x{sensor_size[1]} has no room in {coding.name}, whose sides are at most "
            f"{coding.side}: crop the events, or write HDF5 (.h5)"
        )
    state = np.full(STATE, -1)  # nothing is known to the reader yet
    words, last = np.empty(BLOCK // np.dtype(coding.word).itemsize, coding.word), None
    with path.open("wb") as file:
        for events in pieces:
            if not len(events):
                continue
            if last is None:
                state[CLOCK] = events.t0 - events.t0 % coding.turn
                file.write(_header_bytes(header, int(state[CLOCK])) + start)
            _check_gaps(coding, events, last)
            last, begin = events.t1, 0
            while begin < len(events):
                begin, count = coding.encode(events.array, begin, words, 0, state)
                file.write(words[:count].data)
        if last is None:
            file.write(_header_bytes(header, 0) + start)


def _header_bytes(header: str, offset: int) -> bytes:
    line = f"% time_offset_us {offset}\n" if offset else ""
    return f"{header}{line}% end\n".encode("ascii")


def _check_gaps(coding: Coding, events: Events, last: int | None) -> None:
    """No two events may lie further apart than the format's clock can tell."""
    before = events.t0 if last is None else last
    if events.t1 - before <= coding.gap:
        return
    t = events.array["t"]
    gaps = np.diff(t, prepend=before).view(np.uint64)  # unsigned, as a step between far times overflows
    row = int(np.argmax(gaps))
    if gaps[row] > coding.gap:
        raise NeuvaError(
            f"nothing happens for {gaps[row]} us before t = {t[row]} us; {coding.name} holds at most {coding.gap} us "
            "without an event: cut the recording there, or write HDF5 (.h5)"
        )
