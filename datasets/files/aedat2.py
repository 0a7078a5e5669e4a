"""AEDAT 2.0, the format of jAER: big-endian records of a 32-bit address and a 32-bit time in microseconds.

Layouts of the addresses as in jAER's extractors for the chips DVS128 and DAVIS. jAER counts x from the right edge of
the address and y from the bottom; here both are turned to the top left. Frames (APS), inertial samples and external
inputs lie among the events and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.files.format import Format, Recording
from datasets.files.records import as_events, read_records, without_turns
from neuva import NeuvaError

RECORD = np.dtype([("address", ">u4"), ("t", ">u4")])
TURN = 1 << 32
END = b"#End Of ASCII Header"
MOST_HEADER = 1 << 20


@dataclass(frozen=True)
class Layout:
    """Where an address holds what.

    size: (width, height). is_event, x, y, on: of addresses [N] (uint32).
    """

    size: tuple[int, int]
    is_event: Callable[[np.ndarray], np.ndarray]
    x: Callable[[np.ndarray], np.ndarray]
    y: Callable[[np.ndarray], np.ndarray]
    on: Callable[[np.ndarray], np.ndarray]


def _davis(width: int, height: int) -> Layout:
    """Bit 31: frame or inertial sample; y in bits 22..30, x in 12..21; bit 11: ON; bit 10: external input."""
    return Layout(
        (width, height),
        is_event=lambda address: address & 0x8000_0400 == 0,
        x=lambda address: width - 1 - (address >> 12 & 0x3FF).astype(np.int64),
        y=lambda address: height - 1 - (address >> 22 & 0x1FF).astype(np.int64),
        on=lambda address: address >> 11 & 1,
    )


DVS128 = Layout(
    (128, 128),
    is_event=lambda address: address & 0x8000_8000 == 0,  # bit 15: synchronisation
    x=lambda address: 127 - (address >> 1 & 0x7F).astype(np.int64),
    y=lambda address: 127 - (address >> 8 & 0x7F).astype(np.int64),
    on=lambda address: 1 - (address & 1),  # the chip's 0 is ON
)
LAYOUTS = {"dvs128": DVS128, "tmpdiff128": DVS128, "davis240": _davis(240, 180), "davis346": _davis(346, 260)}
"""By the chip's name in the header line "# AEChip: ...", in lower case; the name may go on (DAVIS240C)."""


def open_file(path: Path) -> Recording:
    """A recording of jAER.

    Raises:
        NeuvaError: if the header names no camera whose layout is known.
    """
    header, start = _header(path)
    layout = _layout(path, header, start)
    return Recording(layout.size, _pieces(path, start, layout))


def _pieces(path: Path, start: int, layout: Layout) -> Iterator[np.ndarray]:
    last = None
    for records in read_records(path, start, RECORD):
        t = without_turns(records["t"], TURN, last)
        last = int(t[-1])
        address = records["address"].astype(np.uint32)
        kept = layout.is_event(address)
        address = address[kept]
        yield as_events(t[kept], layout.x(address), layout.y(address), layout.on(address).astype(np.int64))


def _header(path: Path) -> tuple[str, int]:
    """The lines that start with "#", and where the records begin."""
    lines = []
    with path.open("rb") as file:
        while (start := file.tell()) < MOST_HEADER:
            line = file.readline(MOST_HEADER)
            # A record may begin with "#" too, but not go on as text.
            if not line.startswith(b"#") or not line.endswith(b"\n") or min(line) < ord("\t") or not line.isascii():
                break
            lines.append(line.decode("ascii"))
            if line.startswith(END):
                start = file.tell()
                break
    return "".join(lines), start


def _layout(path: Path, header: str, start: int) -> Layout:
    chip = re.search(r"^# ?AEChip: *(\S+)", header, re.MULTILINE | re.IGNORECASE)
    if chip is None:
        if _fits_dvs128(path, start):
            return DVS128
        raise NeuvaError(f'{path}: no line "# AEChip: ..." in its header tells the camera: open and save it in jAER')
    name = chip[1].rpartition(".")[2].lower()
    for known, layout in LAYOUTS.items():
        if name.startswith(known):
            return layout
    raise NeuvaError(f"{path}: its camera is {chip[1]}; known are {', '.join(LAYOUTS)}: export it from jAER as AEDAT4")


def _fits_dvs128(path: Path, start: int) -> bool:
    """Files older than the line on the camera are the DVS128's, whose addresses have 16 bits."""
    first = np.fromfile(path, RECORD, 1000, offset=start)
    return bool((first["address"] < 1 << 16).all())


FORMAT = Format(open_file, start=rb"#!AER-DAT2")
