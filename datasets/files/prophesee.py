"""Prophesee's formats: EVT2 and EVT3 (.raw) and DAT.

Layouts: https://docs.prophesee.ai/stable/data/encoding_formats/ and .../data/file_formats/dat.html.
They are decoded here and not by a library, because libraries get the time of EVT3 wrong where TIME_LOW
jitters backwards, as it does on Gen4.1 sensors: faery 0.7.1 dates such events up to 11 us too late.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit

from datasets.files.format import Format, Recording
from neuva import NeuvaError

SENSORS = {"gen3": (640, 480), "gen31": (640, 480), "gen4": (1280, 720), "gen41": (1280, 720), "imx636": (1280, 720)}
"""Sensor sizes by the name in `plugin_name`, for recordings older than the geometry line of the header."""


@njit(cache=True)
def decode_evt2(words: np.ndarray, t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> int:
    """32-bit words: kind in bits 28..31; CD_OFF 0 and CD_ON 1 with t 22..27, x 11..21, y 0..10; TIME_HIGH 8.

    Words before the first TIME_HIGH have no time and are left out. Returns the number of events.
    """
    high, count = -1, 0
    for word in words:
        kind = word >> 28
        if kind == 8:
            high = word & 0xFFFFFFF
        elif kind <= 1 and high >= 0:
            t[count] = (high << 6) | ((word >> 22) & 0x3F)
            x[count] = (word >> 11) & 0x7FF
            y[count] = word & 0x7FF
            p[count] = kind
            count += 1
    return count


@njit(cache=True)
def decode_evt3(words: np.ndarray, t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> int:
    """16-bit words: kind in bits 12..15, a state machine of time, row and the base column of vectors.

    ADDR_Y 0, ADDR_X 2 (one event), VECT_BASE_X 3, VECT_12 4 and VECT_8 5 (a bit a column), TIME_LOW 6,
    TIME_HIGH 8. t = TIME_HIGH << 12 | TIME_LOW, 24 bits, made longer by counting the turns of TIME_HIGH.
    Words before the first TIME_HIGH have no time and are left out. Returns the number of events.
    """
    turns, high, low, row, base, base_p, count = 0, -1, 0, 0, 0, 0, 0
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        if kind == 8:
            turns += high - value > 2048  # a large step back is a turn, a small one jitter
            high = value
        elif kind == 6:
            low = value
        elif kind == 0:
            row = value & 0x7FF
        elif kind == 3:
            base, base_p = value & 0x7FF, value >> 11
        elif high >= 0 and kind == 2:
            t[count] = (turns << 24) | (high << 12) | low
            x[count], y[count], p[count] = value & 0x7FF, row, value >> 11
            count += 1
        elif high >= 0 and (kind == 4 or kind == 5):
            width = 12 if kind == 4 else 8
            for bit in range(width):
                if (value >> bit) & 1:
                    t[count] = (turns << 24) | (high << 12) | low
                    x[count], y[count], p[count] = base + bit, row, base_p
                    count += 1
            base += width
    return count


def read_evt2(path: Path) -> Recording:
    """EVT 2.0; the sensor size from the header where it tells."""
    return _read_words(path, "<u4", decode_evt2, len)


def read_evt3(path: Path) -> Recording:
    """EVT 3.0; the sensor size from the header where it tells."""
    return _read_words(path, "<u2", decode_evt3, _most_events)


def read_dat(path: Path) -> Recording:
    """DAT version 2, CD events: 32-bit t, then x in bits 0..13, y in 14..27, p in 28..31.

    Raises:
        NeuvaError: for another version or kind of event.
    """
    header, data = _split(path)
    version = re.search(r"^% version (\d+)", header, re.MULTILINE | re.IGNORECASE)
    if version is None or version[1] != "2" or len(data) < 2 or data[0] not in (0x00, 0x0C) or data[1] != 8:
        raise NeuvaError(f"{path}: not DAT version 2 with CD events of 8 bytes, the only DAT read here")
    records = np.frombuffer(data[2 : 2 + (len(data) - 2) // 8 * 8], "<u4").reshape(-1, 2)
    t, address = records[:, 0], records[:, 1]
    damage = _left_over(len(data) - 2, 8)
    return Recording(t, address & 0x3FFF, (address >> 14) & 0x3FFF, address >> 28, _size(header), damage)


def _read_words(path: Path, word: str, decode: Callable[..., int], most: Callable[[np.ndarray], int]) -> Recording:
    header, data = _split(path)
    size = np.dtype(word).itemsize
    words = np.frombuffer(data[: len(data) // size * size], word)
    t, x, y, p = (np.empty(most(words), dtype) for dtype in (np.int64, np.int16, np.int16, np.int8))
    count = decode(words, t, x, y, p)
    return Recording(t[:count], x[:count], y[:count], p[:count], _size(header), _left_over(len(data), size))


def _most_events(words: np.ndarray) -> int:
    kind = words >> 12
    vectors = words[(kind == 4) | (kind == 5)] & 0xFFF
    return int(np.count_nonzero(kind == 2) + np.bitwise_count(vectors).sum(dtype=np.int64))


def _left_over(length: int, record: int) -> str:
    return f"cut off inside its last record of {record} bytes" if length % record else ""


def _split(path: Path) -> tuple[str, bytes]:
    """The header (lines that start with "% ", up to "% end" where there is one) and the rest."""
    data, end = path.read_bytes(), 0
    while data.startswith(b"% ", end):
        line_end = data.find(b"\n", end)
        line = data[end : None if line_end < 0 else line_end]
        end = len(data) if line_end < 0 else line_end + 1
        if line.strip() == b"% end":
            break
    return data[:end].decode("latin-1"), data[end:]


def _size(header: str) -> tuple[int, int] | None:
    text = header.lower()
    geometry = re.search(r"% geometry (\d+)x(\d+)", text)
    if geometry:
        return int(geometry[1]), int(geometry[2])
    width, height = re.search(r"\bwidth[ =](\d+)", text), re.search(r"\bheight[ =](\d+)", text)
    if width and height:
        return int(width[1]), int(height[1])
    plugin = re.search(r"% plugin_name hal_plugin_([a-z0-9]+)", text)
    return SENSORS.get(plugin[1]) if plugin else None


_HEADER_LINES = rb"(% [^\n]*\n)*"
EVT2 = Format(read_evt2, start=_HEADER_LINES + rb"% (evt 2\.0|format EVT2)[;\s]")
EVT3 = Format(read_evt3, start=_HEADER_LINES + rb"% (evt 3\.0|format EVT3)[;\s]")
DAT = Format(read_dat, start=b"% ", suffix=".dat")
