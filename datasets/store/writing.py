"""Writes clips into a store file: events piece by piece, so memory does not grow with a clip's length."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from datasets.events import Events
from datasets.interrupt import uninterrupted
from datasets.sample import Sample
from datasets.store.disk import SwallowingFile, disk_errors
from datasets.store.layout import (
    CHUNK,
    EVENT_COLUMNS,
    FILTER,
    FORMAT,
    LABEL_COLUMNS,
    PIECE,
    SCHEMA,
    Header,
    arrays_of,
    to_json,
)
from neuva import NeuvaError, atomic_path


@dataclass(frozen=True)
class StoredClip:
    """A clip as it goes into a store.

    pieces: its events in order of time; None where they are those of `sample`.
    """

    name: str
    split: str
    sample: Sample
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    pieces: Iterable[Events] | None = None


class StoreFile:
    """An HDF5 file that becomes a store: add or copy clips, then finish it.

    check: called after each piece; raises to stop there (the disk is full).
    """

    def __init__(self, file: h5py.File, header: Header, check: Callable[[], None]) -> None:
        self._file, self._size, self._check = file, header.sensor_size, check
        file.attrs.update(
            format=FORMAT, schema=SCHEMA, dataset=header.dataset, sensor_size=np.array(header.sensor_size, np.int64)
        )
        file["provenance"] = to_json(header.provenance, "provenance")
        self._events = {name: self._column(f"events/{name}", (), dtype) for name, dtype in EVENT_COLUMNS.items()}
        inner = {"va": (2,)}
        self._labels = {
            name: self._column(f"labels/{name}", inner.get(name, ()), dtype) for name, dtype in LABEL_COLUMNS.items()
        }
        self._index: dict[str, list[Any]] = {key: [] for key in ("name", "split", "meta", "t0", "events", "labels")}

    def add(self, clip: StoredClip) -> None:
        """Write a clip.

        Raises:
            NeuvaError: if its events run backwards or are from another sensor, or something cannot be stored.
        """
        sample, start = clip.sample, self._stored_events
        t0 = last = None
        for piece in (sample.events,) if clip.pieces is None else clip.pieces:
            self._check_size(clip.name, piece)
            if len(piece) == 0:
                continue
            if last is None:
                t0 = last = piece.t0
            if piece.t0 < last:
                raise NeuvaError(
                    f"clip {clip.name}: a piece of events begins at {piece.t0} us, the one before ends at {last} us: "
                    "hand the pieces over in order of time"
                )
            self._append(self._events, _as_columns(piece, last))
            last = piece.t1
        labels = self._append(self._labels, {"time": sample.label_times, "va": sample.labels, "valid": sample.mask})
        for key, array in clip.arrays.items():
            self._add_array(key, np.asarray(array), clip.name)
        meta = to_json(sample.meta, f"meta of clip {clip.name}")
        self._close_row(clip.name, clip.split, meta, t0 or 0, (start, self._stored_events), labels)

    def copy(self, part: h5py.File) -> None:
        """Copy the clip of a store file that holds one."""
        clips, start = part["clips"], self._stored_events
        for first in range(0, len(part["events/dt"]), PIECE):
            rows = slice(first, first + PIECE)
            self._append(self._events, {name: part["events"][name][rows] for name in EVENT_COLUMNS})
        labels = self._append(self._labels, {name: part["labels"][name][:] for name in LABEL_COLUMNS})
        if arrays_of(0) in part:
            with uninterrupted():
                self._file.require_group("arrays")
                part.copy(arrays_of(0), self._file, arrays_of(self._row))  # compressed chunks as they are
            self._check()
        name, split, meta = (clips[key].asstr()[0] for key in ("name", "split", "meta"))
        self._close_row(name, split, meta, clips["t0"][0], (start, self._stored_events), labels)

    def finish(self) -> None:
        """Write the index: without it the file is no store."""
        rows = (self._row,)
        for key in ("name", "split", "meta"):
            self._file.create_dataset(f"clips/{key}", data=self._index[key], shape=rows, dtype=h5py.string_dtype())
        self._file["clips/t0"] = np.array(self._index["t0"], np.int64)
        for key in ("events", "labels"):
            self._file[f"clips/{key}"] = np.array(self._index[key], np.int64).reshape(-1, 2)

    @property
    def _row(self) -> int:
        return len(self._index["name"])

    @property
    def _stored_events(self) -> int:
        return len(self._events["dt"])

    def _column(self, name: str, inner: tuple[int, ...], dtype: type) -> h5py.Dataset:
        return self._file.create_dataset(
            name, (0, *inner), dtype, chunks=(CHUNK, *inner), maxshape=(None, *inner), **FILTER
        )

    def _append(self, columns: dict[str, h5py.Dataset], new: dict[str, np.ndarray]) -> tuple[int, int]:
        start = len(next(iter(columns.values())))
        stop = start + len(next(iter(new.values())))
        with uninterrupted():
            for name, column in columns.items():
                column.resize(stop, axis=0)
                column[start:stop] = new[name]
        self._check()
        return start, stop

    def _check_size(self, name: str, events: Events) -> None:
        if events.sensor_size != self._size:
            raise NeuvaError(
                f"clip {name} is from a sensor of {events.sensor_size}, the store of {self._size}: rescale or crop it"
            )

    def _add_array(self, key: str, array: np.ndarray, clip: str) -> None:
        if not key.isidentifier() or array.dtype.kind not in "biufc":
            raise NeuvaError(f'array "{key}" of clip {clip} is {array.dtype}: give a plain name and numbers')
        filters = FILTER if array.size and array.ndim else {}  # HDF5 compresses chunks, not scalars
        with uninterrupted():
            self._file.create_dataset(f"{arrays_of(self._row)}/{key}", data=array, **filters)

    def _close_row(self, *values: Any) -> None:
        for column, value in zip(self._index.values(), values, strict=True):
            column.append(value)


def write_store(path: Path, header: Header, clips: Iterable[StoredClip]) -> None:
    """Write a store in one go, clip by clip and piece by piece; the file appears when it is whole.

    Raises:
        NeuvaError: if something cannot be stored or the disk cannot take it.
    """

    def add_all(store: StoreFile) -> None:
        for clip in clips:
            store.add(clip)

    with disk_errors(path):
        fill_store(path, header, add_all)


def fill_store(path: Path, header: Header, fill: Callable[[StoreFile], None]) -> None:
    """Write a store that `fill` puts clips into; what the disk raises is left to the caller to name."""
    with atomic_path(path) as temporary, SwallowingFile(temporary) as disk:
        _write(disk, header, fill, disk.check)
        disk.check()


def pack(header: Header, clip: StoredClip) -> bytes:
    """A store of one clip as bytes, to send from the process that made the clip to the one that keeps it.

    Raises:
        NeuvaError: if something cannot be stored.
    """
    buffer = io.BytesIO()
    _write(buffer, header, lambda store: store.add(clip))
    return buffer.getvalue()


def _write(
    to: io.BytesIO | SwallowingFile,
    header: Header,
    fill: Callable[[StoreFile], None],
    check: Callable[[], None] = lambda: None,
) -> None:
    with uninterrupted():  # Ctrl-C would be raised in the file's methods that HDF5 calls, and crash it
        file = h5py.File(to, "w")
    try:
        with uninterrupted():
            store = StoreFile(file, header, check)
        fill(store)
        with uninterrupted():
            store.finish()
    finally:
        with uninterrupted():
            file.close()


def _as_columns(piece: Events, before: int) -> dict[str, np.ndarray]:
    array = piece.array
    return {"dt": np.diff(array["t"], prepend=np.int64(before)), "x": array["x"], "y": array["y"], "p": array["p"]}
