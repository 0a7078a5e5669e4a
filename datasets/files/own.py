"""neuva's own files: NPZ for exchange, and HDF5, where a single recording is a store of one clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.events import Events
from datasets.files.format import Format, Recording, library_errors
from datasets.sample import Sample
from datasets.store.dataset import EventStore
from datasets.store.layout import Header, StoredClip, write_store
from neuva import NeuvaError, atomic_path

NPZ_KEYS = ("t", "x", "y", "p", "sensor_size")


def read_npz(path: Path) -> Recording:
    """The arrays t, x, y, p and sensor_size (width, height) of an NPZ file; nothing is unpickled."""
    # Opened here: np.load leaves the file open when it is damaged.
    with library_errors(path, "the NPZ file"), path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        missing = [key for key in NPZ_KEYS if key not in file]
        if missing:
            raise NeuvaError(f"{path}: has no array {missing[0]}; needed are {', '.join(NPZ_KEYS)}")
        t, x, y, p, size = (file[key] for key in NPZ_KEYS)
    if size.shape != (2,) or size.dtype.kind not in "iu":
        raise NeuvaError(
            f"{path}: sensor_size is {size.dtype} {list(size.shape)}; needed: two integers, width and height"
        )
    return Recording(t, x, y, p, (int(size[0]), int(size[1])))


def write_npz(path: Path, events: Events) -> None:
    """Compressed arrays t, x, y, p and sensor_size."""
    t, x, y, p = (events.array[name] for name in "txyp")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, t=t, x=x, y=y, p=p, sensor_size=np.array(events.sensor_size, np.int64))


def read_hdf5(path: Path) -> Recording:
    """The events of a store's only clip.

    Raises:
        NeuvaError: if it holds none or several.
    """
    with library_errors(path, "the HDF5 file"):
        store = EventStore(path)
        if len(store) != 1:
            raise NeuvaError(f"{path}: holds {len(store)} clips; needed: one: take EventStore(path).sample(i).events")
        array = store.sample(0).events.array
    return Recording(array["t"], array["x"], array["y"], array["p"], store.sensor_size)


def write_hdf5(path: Path, events: Events) -> None:
    """A store of one clip without labels."""
    sample = Sample(events, np.empty(0, np.int64), np.empty((0, 2), np.float32), np.empty(0, bool))
    header = Header("recording", events.sensor_size, {})
    write_store(path, header, [StoredClip(path.stem, "all", sample)])


NPZ = Format(read_npz, start=rb"PK\x03\x04")
HDF5 = Format(read_hdf5, start=rb"\x89HDF\r\n\x1a\n")
