"""HDF5 files of events: ours (a store of one clip), v2e's and Prophesee's; written are ours."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers the filters that event files use, save Prophesee's
import numpy as np

from datasets.events import Events
from datasets.files.format import PIECE, Damage, Format, Recording, library_errors
from datasets.files.records import as_events
from datasets.sample import Sample
from datasets.store import EventStore, Header, StoredClip, write_store
from datasets.store.layout import FORMAT as STORE
from neuva import NeuvaError

V2E, PROPHESEE = "events", "CD/events"
MOST_CHUNK = 1 << 28  # bytes unpacked: a chunk is only read whole
ECF = 36559
ECF_CURE = (
    "install its plugin (https://github.com/prophesee-ai/hdf5_ecf, or with the Metavision SDK), name its folder in "
    "HDF5_PLUGIN_PATH, and read again; or convert the file with metavision_file_to_dat"
)


def is_store(path: Path) -> bool:
    """Whether a file is a store of neuva, of any number of clips."""
    try:
        with h5py.File(path, locking="best-effort") as file:
            return bool(file.attrs.get("format") == STORE)
    except OSError:
        return False


def open_file(path: Path) -> Recording:
    """The events of a store's only clip, of v2e's table or of Prophesee's CD events, whichever is in the file.

    Raises:
        NeuvaError: if none of them is, the store holds several clips, or a filter is missing.
    """
    with library_errors(path, "the HDF5 file"), h5py.File(path, locking="best-effort") as file:
        if file.attrs.get("format") == STORE:
            return _open_store(path)
        if isinstance(file.get(PROPHESEE), h5py.Dataset):
            return _open_prophesee(path, file)
        if isinstance(file.get(V2E), h5py.Dataset):
            return _open_v2e(path, file[V2E])
        there = ", ".join(file) or "nothing"
    raise NeuvaError(f"{path}: holds {there}; read are a store of neuva, v2e's `{V2E}` and Prophesee's `{PROPHESEE}`")


def _open_store(path: Path) -> Recording:
    store = EventStore(path)
    if len(store) != 1:
        raise NeuvaError(f"{path}: holds {len(store)} clips; needed: one: take EventStore(path).sample(i).events")
    return Recording(store.sensor_size, _damage_at_the_end(piece.array for piece in store.pieces(0)))


def _open_v2e(path: Path, table: h5py.Dataset) -> Recording:
    """Rows of t (us), x, y, p."""
    if table.ndim != 2 or table.shape[1] != 4 or table.dtype.kind not in "iu":
        raise NeuvaError(f"{path}: `{V2E}` is {table.dtype} {list(table.shape)}; needed: integers [N, 4], t, x, y, p")
    _check_chunks(path, table)
    return Recording(None, _damage_at_the_end(as_events(*rows.T) for rows in _slices(path, V2E)))


def _open_prophesee(path: Path, file: h5py.File) -> Recording:
    """A table of x, y, p, t (us); the sensor size is the file's attribute `geometry`."""
    table = file[PROPHESEE]
    names = table.dtype.names or ()
    if table.ndim != 1 or any(name not in names or table.dtype[name].kind not in "iu" for name in "txyp"):
        raise NeuvaError(f"{path}: `{PROPHESEE}` is {table.dtype} {list(table.shape)}; needed: t, x, y and p [N]")
    _check_chunks(path, table)
    made = table.id.get_create_plist()
    filters = [made.get_filter(number)[0] for number in range(made.get_nfilters())]
    if ECF in filters and not h5py.h5z.filter_avail(ECF):
        raise NeuvaError(f"{path}: its events are compressed with the filter ECF ({ECF}): {ECF_CURE}")
    geometry = re.fullmatch(r"(\d{1,9})x(\d{1,9})", str(file.attrs.get("geometry", "")))
    size = (int(geometry[1]), int(geometry[2])) if geometry else None
    pieces = (as_events(*(rows[name] for name in "txyp")) for rows in _slices(path, PROPHESEE))
    return Recording(size, _damage_at_the_end(pieces))


def _check_chunks(path: Path, table: h5py.Dataset) -> None:
    size = math.prod(table.chunks or (0,)) * table.dtype.itemsize
    if size > MOST_CHUNK:
        raise NeuvaError(
            f"{path}: its chunks are of {size} bytes; read are at most {MOST_CHUNK}: write it again in smaller ones "
            "(h5repack -l CHUNK=...)"
        )


def _slices(path: Path, name: str) -> Iterator[np.ndarray]:
    with h5py.File(path, locking="best-effort") as file:
        for first in range(0, len(file[name]), PIECE):
            yield file[name][first : first + PIECE]


def _damage_at_the_end(pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    try:
        yield from pieces
    except (OSError, RuntimeError, ValueError, KeyError, NeuvaError) as error:  # what HDF5 has for a damaged chunk
        why = " ".join(str(error.__cause__ or error).split())
        raise Damage(f"the HDF5 file is damaged: {why}") from error


def write(path: Path, sensor_size: tuple[int, int], pieces: Iterator[Events]) -> None:
    """A store of one clip without labels."""
    empty = Sample(Events.empty(sensor_size), np.empty(0, np.int64), np.empty((0, 2), np.float32), np.empty(0, bool))
    clip = StoredClip("recording", "all", empty, pieces=pieces)
    write_store(path, Header("recording", sensor_size, {}), [clip])


FORMAT = Format(open_file, start=rb"\x89HDF\r\n\x1a\n", write=write)
