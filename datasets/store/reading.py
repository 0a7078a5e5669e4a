"""Reads clips out of a store file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from datasets.events import EVENT_DTYPE, Events
from datasets.sample import Sample
from datasets.store.layout import LABEL_COLUMNS, PIECE


def sensor_size(file: h5py.File) -> tuple[int, int]:
    """(width, height) of the sensor."""
    width, height = file.attrs["sensor_size"]
    return int(width), int(height)


def read_sample(file: h5py.File, row: int) -> Sample:
    """Clip number `row`, all its events at once."""
    start, stop = file["clips/events"][row]
    array = np.empty(stop - start, EVENT_DTYPE)
    filled = 0
    for piece in _event_arrays(file, row):
        array[filled : filled + len(piece)] = piece
        filled += len(piece)
    return Sample(Events(array, sensor_size(file)), *read_labels(file, row), read_meta(file, row))


def read_labels(file: h5py.File, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times int64 [N], valence and arousal float32 [N, 2] and validity bool [N] of clip number `row`."""
    rows = slice(*file["clips/labels"][row])
    times, va, valid = (file["labels"][name][rows] for name in LABEL_COLUMNS)
    return times, va, valid


def read_pieces(file: h5py.File, row: int) -> Iterator[Events]:
    """The events of clip number `row`, `PIECE` at a time."""
    size = sensor_size(file)
    for array in _event_arrays(file, row):
        yield Events(array, size)


def read_meta(file: h5py.File, row: int) -> dict[str, Any]:
    """What else is known of clip number `row`."""
    return json.loads(file["clips/meta"].asstr()[row])


def _event_arrays(file: h5py.File, row: int) -> Iterator[np.ndarray]:
    start, stop = (int(bound) for bound in file["clips/events"][row])
    last = file["clips/t0"][row]
    for first in range(start, stop, PIECE):
        rows = slice(first, min(first + PIECE, stop))
        array = np.empty(rows.stop - rows.start, EVENT_DTYPE)
        array["t"] = last + np.cumsum(file["events/dt"][rows])
        for name in "xyp":
            array[name] = file["events"][name][rows]
        last = array["t"][-1]
        yield array
