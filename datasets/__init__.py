"""Events of faces: in memory, in files and stores, simulated from video, and as data sets with labels.

`Events` and `Sample` are what everything here hands on. Each name is imported when it is first asked for, so that a
command's help need not wait for compilers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets.events import Events
    from datasets.files import describe, read_events, write_events
    from datasets.sample import Sample
    from datasets.store import EventStore, StoreWriter

__all__ = ["EventStore", "Events", "Sample", "StoreWriter", "describe", "read_events", "write_events"]

_LATER = {
    "EventStore": "datasets.store",
    "Events": "datasets.events",
    "Sample": "datasets.sample",
    "StoreWriter": "datasets.store",
    "describe": "datasets.files",
    "read_events": "datasets.files",
    "write_events": "datasets.files",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
