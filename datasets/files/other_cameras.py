"""Event Stream (.es, through the faery library) and the 5-byte records of N-MNIST and DVS128 Gesture (.bin)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.files.format import Format, Recording, library_errors


def read_event_stream(path: Path) -> Recording:
    """Event Stream, DVS and ATIS events (https://github.com/neuromorphic-paris/event_stream)."""
    import faery

    with library_errors(path, "the Event Stream file"):
        stream = faery.events_stream_from_file(path, file_type="es")
        events = stream.to_array()
        width, height = stream.dimensions()
    return Recording(events["t"], events["x"], events["y"], events["on"], (width, height))


def read_bin(path: Path) -> Recording:
    """Records of 40 bits, big-endian: x in bits 32..39, y in 24..31, p in 23, t in 0..22 (Orchard et al. 2015).

    The file does not tell the sensor size, and t turns over after 8.4 s.
    """
    data = path.read_bytes()
    record = np.frombuffer(data[: len(data) // 5 * 5], np.uint8).reshape(-1, 5).astype(np.int64)
    t = (record[:, 2] & 0x7F) << 16 | record[:, 3] << 8 | record[:, 4]
    damage = "cut off inside its last record of 5 bytes" if len(data) % 5 else ""
    return Recording(t, record[:, 0], record[:, 1], record[:, 2] >> 7, None, damage)


EVENT_STREAM = Format(read_event_stream, start=rb"Event Stream")
BIN = Format(read_bin, suffix=".bin")
