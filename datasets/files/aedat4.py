"""AEDAT4, the container of iniVation's cameras: read through the `aedat` package, written through `faery`."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aedat
import numpy as np

from datasets.events import EVENT_DTYPE, Events
from datasets.files.format import Damage, Format, Recording, library_errors
from neuva import NeuvaError

log = logging.getLogger(__name__)

HEADER_START = 14  # after the line "#!AER-DAT4.0\r\n": a 32-bit length, then that many bytes, then the packets
PACKET = np.dtype([("stream", "<i4"), ("size", "<i4")])  # before each packet
INDEX_FIELD = 6  # of the table of fields: two sizes and the compression stand before it
GATHERED = 1 << 18  # events handed over at once: a camera's packets are often of a few hundred
LARGE = 1 << 15  # a packet of so many events is worth a piece of its own
WRITTEN = 1 << 16  # events a packet


def open_file(path: Path) -> Recording:
    """The events of the file's first event stream.

    Raises:
        NeuvaError: if the header is damaged or there is no event stream.
    """
    start, stop = _extent(path)
    with library_errors(path, "the AEDAT4 header"):
        streams = aedat.Decoder(path).id_to_stream()
    events = sorted(key for key, stream in streams.items() if stream["type"] == "events")
    if not events:
        raise NeuvaError(f"{path}: holds no event stream: record it with events switched on")
    if len(events) > 1:
        log.warning("%s: %d event streams, the first is read", path, len(events))
    size = streams[events[0]]["width"], streams[events[0]]["height"]
    return Recording(size, _gathered(_packets(path, events[0], start, stop)))


def _packets(path: Path, stream: int, at: int, stop: int) -> Iterator[np.ndarray]:
    """The events of each packet; the library's fields are those of `EVENT_DTYPE`, unsigned.

    Each packet's size is looked at before the library does: it would ask for that much memory and abort.
    """
    decoder, length = aedat.Decoder(path), path.stat().st_size
    with path.open("rb") as file:
        while at < stop:
            file.seek(at)
            head = file.read(PACKET.itemsize)
            size = int(np.frombuffer(head, PACKET)["size"][0]) if len(head) == PACKET.itemsize else stop
            if not 0 <= size <= min(stop, length) - at - PACKET.itemsize:
                raise Damage("a packet is damaged or cut off", at)
            try:
                with library_errors(path, "a packet"):
                    packet = next(decoder, None)
            except NeuvaError as error:
                cause = " ".join(str(error.__cause__).split())
                raise Damage(f"a packet is damaged ({cause})", at) from error
            if packet is None:
                return
            if packet["stream_id"] == stream and len(packet["events"]):
                yield packet["events"].view(EVENT_DTYPE)
            at += PACKET.itemsize + size


def _gathered(packets: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Small packets joined, large ones handed on as they are."""
    waiting: list[np.ndarray] = []
    count = 0
    damage = None
    try:
        for packet in packets:
            waiting.append(packet)
            count += len(packet)
            if count >= GATHERED or len(packet) >= LARGE:
                yield _joined(waiting)
                waiting, count = [], 0
    except Damage as error:
        damage = error
    if waiting:
        yield _joined(waiting)
    if damage is not None:
        raise damage


def _joined(packets: list[np.ndarray]) -> np.ndarray:
    if len(packets) == 1:
        return packets[0]
    # as bytes: numpy would copy records field by field
    return np.concatenate([packet.view(np.uint8) for packet in packets]).view(EVENT_DTYPE)


def _extent(path: Path) -> tuple[int, int]:
    """The bytes at which the packets begin and end: the header, a FlatBuffers table, tells where their index begins.

    An index beyond the end of the file shows that it is cut off; one that was never written, that the end is theirs.
    A header that is no text is refused, as the library panics on it.
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(HEADER_START + 4)[HEADER_START:]
        size = int.from_bytes(prefix, "little")
        header = file.read(min(size, length))
    if len(prefix) < 4 or len(header) < size:
        raise NeuvaError(f"{path}: the AEDAT4 header is truncated: record or copy it again")
    if not header[header.find(b"<dv") : header.rfind(b"</dv>")].isascii():
        raise NeuvaError(f"{path}: the AEDAT4 header is damaged (no plain text): record or copy it again")
    with library_errors(path, "the AEDAT4 header"):
        (root,) = struct.unpack_from("<I", header)
        (back,) = struct.unpack_from("<i", header, root)
        fields = struct.unpack_from("<H", header, root - back)[0]
        field = struct.unpack_from("<H", header, root - back + INDEX_FIELD)[0] if fields > INDEX_FIELD else 0
        index = struct.unpack_from("<q", header, root + field)[0] if field else -1
    return HEADER_START + 4 + size, index if index > 0 else length


def write(path: Path, sensor_size: tuple[int, int], pieces: Iterator[Events]) -> None:
    """One event stream, LZ4.

    Raises:
        NeuvaError: for a time before 0, which the writing library does not take.
    """
    import faery

    with faery.aedat.Encoder(path, _description(faery.aedat, *sensor_size), faery.aedat.LZ4_DEFAULT) as encoder:
        for piece in pieces:
            if len(piece) and piece.t0 < 0:
                raise NeuvaError(f"AEDAT4 is written from time 0 on, the events begin at {piece.t0} us: choose HDF5")
            for first in range(0, len(piece), WRITTEN):
                encoder.write(0, piece.array[first : first + WRITTEN].view(faery.EVENTS_DTYPE))


def _description(library: Any, width: int, height: int) -> list[Any]:
    """The header's tree, as dv-processing expects it: outInfo, stream 0, its size."""

    def node(name: str, parent: str, attributes: dict[str, str | int], nodes: list[Any]) -> Any:
        typed = {
            key: library.DescriptionAttribute("int" if isinstance(value, int) else "string", value)
            for key, value in attributes.items()
        }
        return library.DescriptionNode(name, f"{parent}{name}/", typed, nodes)

    root = "/mainloop/Recorder/"
    info = node("info", f"{root}outInfo/0/", {"sizeX": width, "sizeY": height, "source": "neuva"}, [])
    kind: dict[str, str | int] = {"compression": "LZ4", "originalOutputName": "events", "typeIdentifier": "EVTS"}
    return [node("outInfo", root, {}, [node("0", f"{root}outInfo/", kind, [info])])]


FORMAT = Format(open_file, start=rb"#!AER-DAT4", write=write)
