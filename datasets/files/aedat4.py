"""AEDAT4, the container of iniVation's cameras, through the `aedat` package."""

from __future__ import annotations

import logging
from pathlib import Path

import aedat
import numpy as np

from datasets.files.format import Format, Recording, library_errors
from neuva import NeuvaError

log = logging.getLogger(__name__)

PACKET_DTYPE = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
HEADER_START = 14  # after the line "#!AER-DAT4.0\r\n": a 32-bit length, then that many bytes


def read(path: Path) -> Recording:
    """The events of the file's first event stream.

    Raises:
        NeuvaError: if the header is damaged or there is no event stream.
    """
    _check_header(path)
    with library_errors(path, "the AEDAT4 header"):
        decoder = aedat.Decoder(path)
    streams = {key: stream for key, stream in decoder.id_to_stream().items() if stream["type"] == "events"}
    if not streams:
        raise NeuvaError(f"{path}: holds no event stream: record it with events switched on")
    chosen = min(streams)
    if len(streams) > 1:
        log.warning("%s: %d event streams, the first is read", path, len(streams))
    packets: list[np.ndarray] = []
    damage = ""
    try:
        with library_errors(path, "a packet"):
            packets.extend(packet["events"] for packet in decoder if packet["stream_id"] == chosen)
    except NeuvaError as error:
        damage = f"a packet is damaged or cut off ({error.__cause__})"
    events = np.concatenate(packets) if packets else np.empty(0, PACKET_DTYPE)
    return Recording(
        events["t"],
        events["x"],
        events["y"],
        events["on"],
        (streams[chosen]["width"], streams[chosen]["height"]),
        damage,
    )


def _check_header(path: Path) -> None:
    """The library panics on a header that is no text; this says so in one line instead."""
    with path.open("rb") as file:
        start = file.read(HEADER_START + 4)[HEADER_START:]
        length = int.from_bytes(start, "little")
        header = file.read(min(length, path.stat().st_size))
    if len(start) < 4 or len(header) < length:
        raise NeuvaError(f"{path}: the AEDAT4 header is truncated: record or copy it again")
    if not header[header.find(b"<dv") : header.rfind(b"</dv>")].isascii():
        raise NeuvaError(f"{path}: the AEDAT4 header is damaged (no plain text): record or copy it again")


FORMAT = Format(read, start=rb"#!AER-DAT4")
