"""Event files in and out: `read_events` whole, `stream_events` piece by piece, `write_events`, and `describe`.

Each format is a module with a `Format` (`format.py` says what that is); `registry.py` knows them all.
"""

from __future__ import annotations

from datasets.files.format import Damage, Format, Recording
from datasets.files.registry import FORMATS, WRITTEN
from datasets.files.stream import EventStream, read_events, stream_events, write_events
from datasets.files.summary import EventSummary, describe

__all__ = [
    "FORMATS",
    "WRITTEN",
    "Damage",
    "EventStream",
    "EventSummary",
    "Format",
    "Recording",
    "describe",
    "read_events",
    "stream_events",
    "write_events",
]
