"""A store as a Tonic-style data set."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the Blosc filter with HDF5
import numpy as np

from datasets.events import Events
from datasets.sample import Sample
from datasets.store.layout import FORMAT, SCHEMA, arrays_of
from datasets.store.reading import read_labels, read_meta, read_pieces, read_sample, sensor_size
from neuva import NeuvaError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""What an HDF5 file begins with."""


class EventStore:
    """Clips of a store, all or those of one split.

    `store[i]` is (events, target), as Tonic's data sets give it: events a structured array with t, x, y, p,
    target a dict of label_times (int64 [N], us), labels (float32 [N, 2]) and mask (bool [N]), each after its
    transform. The file is opened in each process when it is first needed, so DataLoader workers and pickling
    are safe.

    Attributes:
        path: the file. split: as asked. dataset: name of the data set. sensor_size: (width, height).
        provenance: how it was made. names, splits, event_counts: of each clip, in the order of the indices.

    Raises:
        NeuvaError: if the file is no store, of another schema, or lacks the split.
    """

    def __init__(
        self,
        path: str | Path,
        split: str | None = None,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
    ) -> None:
        self.path, self.split = Path(path), split
        self.transform, self.target_transform = transform, target_transform
        self._opened: tuple[int, h5py.File] | None = None
        with _open_store(self.path) as file, _damage_named(self.path, "its index"):
            self.dataset = str(file.attrs["dataset"])
            self.sensor_size = sensor_size(file)
            self.provenance: dict[str, Any] = json.loads(file["provenance"].asstr()[()])
            counts = np.diff(file["clips/events"][:]).ravel().tolist()
            names, splits = (list(file[f"clips/{key}"].asstr()[:]) for key in ("name", "split"))
        if split is not None and split not in splits:
            there = ", ".join(sorted(set(splits))) or "none"
            raise NeuvaError(f'{self.path}: no split "{split}": there are {there}')
        self._rows = [row for row, each in enumerate(splits) if split in (None, each)]
        self.names = [names[row] for row in self._rows]
        self.splits = [splits[row] for row in self._rows]
        self.event_counts: list[int] = [counts[row] for row in self._rows]

    @property
    def event_bytes(self) -> int:
        """Bytes that the events of the whole file take in it."""
        with _damage_named(self.path, "the file"):
            return sum(column.id.get_storage_size() for column in self._file["events"].values())

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        sample = self.sample(index)
        events: Any = sample.events.array.copy()  # Tonic's transforms may write into it
        target: Any = {"label_times": sample.label_times, "labels": sample.labels, "mask": sample.mask}
        if self.transform is not None:
            events = self.transform(events)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return events, target

    def sample(self, index: int) -> Sample:
        """Clip `index` with its labels and meta, untransformed."""
        with self._clip_named(index):
            return read_sample(self._file, self._rows[index])

    def pieces(self, index: int) -> Iterator[Events]:
        """The events of clip `index` in order of time, about a million at a time: constant memory at any length."""
        with self._clip_named(index):
            yield from read_pieces(self._file, self._rows[index])

    def labels(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Label times, labels and mask of clip `index`, as in `Sample`, without reading its events."""
        with self._clip_named(index):
            return read_labels(self._file, self._rows[index])

    def meta(self, index: int) -> dict[str, Any]:
        """What else is known of clip `index`, without reading its events."""
        with self._clip_named(index):
            return read_meta(self._file, self._rows[index])

    def arrays(self, index: int, key: str) -> np.ndarray:
        """An extra array of clip `index` (frames, action units, boxes).

        Raises:
            NeuvaError: if the clip has no such array, or it is damaged.
        """
        with self._clip_named(index, f", array {key}"):
            group = self._file.get(arrays_of(self._rows[index]), {})
            if key not in group:
                there = ", ".join(group) or "none"
                raise NeuvaError(f'{self.path}: clip {self.names[index]} has no array "{key}": there are {there}')
            return group[key][()]

    def array_kinds(self, index: int) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and number type of each extra array of clip `index`, without reading it."""
        with self._clip_named(index):
            group = self._file.get(arrays_of(self._rows[index]), {})
            return {key: (array.shape, str(array.dtype)) for key, array in group.items()}

    def _clip_named(self, index: int, part: str = "") -> AbstractContextManager[None]:
        return _damage_named(self.path, f"clip {self.names[index]}{part}")

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_opened": None}

    @property
    def _file(self) -> h5py.File:
        if self._opened is None or self._opened[0] != os.getpid():  # a forked worker takes its own
            self._opened = os.getpid(), _open_store(self.path)
        return self._opened[1]


def may_be_store(path: Path) -> bool:
    """Whether a file is a store, or an HDF5 file too damaged to tell."""
    try:
        with h5py.File(path, locking="best-effort") as file:
            return file.attrs.get("format") == FORMAT
    except OSError:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(SIGNATURE)) == SIGNATURE


@contextmanager
def _damage_named(path: Path, what: str) -> Iterator[None]:
    """Turn what HDF5, or the JSON in it, raises where bytes have changed into an error that names the place."""
    try:
        yield
    except NeuvaError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise NeuvaError(f"{path}: {what} is damaged: make the store again") from error


def _why_not_opened(error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return "is a folder: name the .h5 file in it"
    if isinstance(error, FileNotFoundError):
        return "no such file: make it with `neuva data make`, or name another"
    if error.errno:
        return f"cannot be read ({os.strerror(error.errno)}): name another"
    return "no HDF5 file, or truncated: make the store again, or name another"


def _open_store(path: Path) -> h5py.File:
    try:
        file = h5py.File(path, locking="best-effort")
    except OSError as error:
        raise NeuvaError(f"{path}: {_why_not_opened(error)}") from error
    with _damage_named(path, "the file"):
        found, schema = file.attrs.get("format"), file.attrs.get("schema")
    if found == FORMAT and schema == SCHEMA:
        return file
    file.close()
    if found != FORMAT:
        raise NeuvaError(f"{path}: HDF5, but no neuva store: make one with `neuva data make`")
    raise NeuvaError(f"{path}: store of schema {schema}, read is {SCHEMA}: make the store again with this version")
