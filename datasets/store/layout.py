"""How clips lie in a store file.

    attributes          format, schema, dataset, sensor_size
    provenance          JSON
    events/dt x y p     all clips' events, one after the other; dt: microseconds since the event before, 0 for the first
    labels/time va valid   all clips' labels, likewise
    clips/name split meta t0 events labels   one row a clip; events, labels: [start, stop) in the columns
    arrays/<row>/<key>  what else belongs to a clip (frames, action units, boxes)

Differences of time instead of times, and Blosc's shuffle with Zstandard, take about 2 bytes an event;
narrower integers would gain nothing, as shuffled zero bytes vanish.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import hdf5plugin
import numpy as np

from neuva import NeuvaError

FORMAT = "neuva-store"
SCHEMA = 1
EVENT_COLUMNS = {"dt": np.int64, "x": np.int16, "y": np.int16, "p": np.int8}
LABEL_COLUMNS = {"time": np.int64, "va": np.float32, "valid": np.bool_}
CHUNK = 1 << 16
"""Events a compressed chunk: large enough to compress, small enough to read one short clip."""
PIECE = 1 << 20
"""Events read, written or copied at once: 13 MB, so that a clip of any length passes in constant memory."""
FILTER: Mapping[str, Any] = {
    **hdf5plugin.Blosc(cname="zstd", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE),
    "fletcher32": True,  # Blosc unpacks damaged chunks without a word
}


@dataclass(frozen=True)
class Header:
    """What holds for the whole store; `provenance` (JSON): source, settings, seed, versions."""

    dataset: str
    sensor_size: tuple[int, int]
    provenance: Mapping[str, Any]

    def to_json(self) -> str:
        """Text that is equal exactly if everything in the header, and the schema, is."""
        return to_json({"schema": SCHEMA, **vars(self)}, "provenance")


def arrays_of(row: int) -> str:
    """The group that holds the extra arrays of clip number `row`."""
    return f"arrays/{row:06d}"


def to_json(value: Any, what: str) -> str:
    """JSON of plain values, numpy scalars and arrays.

    Raises:
        NeuvaError: for anything else.
    """
    try:
        return json.dumps(value, sort_keys=True, default=_plain)
    except (TypeError, ValueError) as error:
        raise NeuvaError(f"{what} cannot be stored as JSON ({error}): use numbers, text, lists and dicts") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no plain value")
