"""Event Stream 2 (.es): events of DVS and ATIS sensors as differences of time.

Layout: https://github.com/neuromorphic-paris/event_stream. It counts y from the bottom; here it is turned to the top.
Decoded here and not by a library: those at hand give no byte offset of damage, and some abort the process on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numba import njit

from datasets.events import EVENT_DTYPE
from datasets.files.format import PIECE, Damage, Format, Recording
from neuva import NeuvaError

HEADER = 20  # "Event Stream", version (3 bytes), kind, width and height (16 bits each)
DVS, ATIS = 1, 2
KINDS = {0: "generic", 3: "display", 4: "colour", 5: "liquid"}
READ = PIECE  # bytes: about a fifth as many events, which stay in the cache


def open_file(path: Path) -> Recording:
    """Change events; an ATIS's measurements of exposure are left out.

    Raises:
        NeuvaError: for another version or kind of events.
    """
    with path.open("rb") as file:
        header = file.read(HEADER)
    if len(header) < HEADER:
        raise NeuvaError(f"{path}: the Event Stream header is truncated: record or copy it again")
    if header[12] != 2:
        raise NeuvaError(f"{path}: Event Stream version {header[12]}; read is 2: convert it with its own tools")
    kind = header[15]
    if kind not in (DVS, ATIS):
        raise NeuvaError(f"{path}: holds {KINDS.get(kind, 'unknown')} events; read are those of DVS and ATIS")
    width, height = (int(side) for side in np.frombuffer(header, "<u2", offset=16))
    return Recording((width, height), _pieces(path, kind, height))


@njit(cache=True)
def _decode(data: np.ndarray, kind: int, height: int, t: int, events: np.ndarray) -> tuple[int, int, int]:
    """Decode whole events; gives how many, the bytes used, and the time reached.

    DVS: a byte of time << 1 | ON, then x and y (16 bits each, little-endian); 0xFF is 127 us without an event and
    0xFE a reset. ATIS: a byte of time << 2 | ON << 1 | exposure; 0xFC + n is 63 n us without an event.
    """
    shift = kind
    wait = (0xFF << shift) & 0xFF  # all bits of the time: no event
    count = at = 0
    while at < len(data):
        byte = data[at]
        if byte >= wait:
            t += (byte - wait) * (0xFF >> shift)
            at += 1
            continue
        if at + 5 > len(data):
            break
        t += byte >> shift
        if kind == DVS or not byte & 1:
            event = events[count]
            event.t = t
            x, y = data[at + 1] | data[at + 2] << 8, data[at + 3] | data[at + 4] << 8
            event.x = min(x, 32767)  # beyond any sensor, and seen to be so
            event.y = max(height - 1 - y, -1)
            event.p = (byte >> (shift - 1)) & 1
            count += 1
        at += 5
    return count, at, t


def _pieces(path: Path, kind: int, height: int) -> Iterator[np.ndarray]:
    t, rest, offset = 0, b"", HEADER
    with path.open("rb") as file:
        file.seek(HEADER)
        while read := file.read(READ):
            data = rest + read
            events = np.empty(len(data) // 5 + 1, EVENT_DTYPE)
            count, used, t = _decode(np.frombuffer(data, np.uint8), kind, height, t, events)
            rest, offset = data[used:], offset + used
            if count:
                yield events[:count]
    if rest:
        raise Damage("cut off inside an event of 5 bytes", offset)


FORMAT = Format(open_file, start=rb"Event Stream")
