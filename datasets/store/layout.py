"""How clips lie in a store file.

    attributes          format, schema, dataset, sensor_size
    provenance          JSON
    events/dt x y p     all clips' events, one after the other; dt: microseconds since the event before
    labels/time va valid   all clips' labels, likewise
    clips/name split meta t0 events labels   one row a clip; events, labels: [start, stop) in the columns
    arrays/<row>/<key>  what else belongs to a clip (frames, action units, boxes)

Differences of time instead of times, and Blosc's shuffle with Zstandard, take about 2 bytes an event;
narrower integers would gain nothing, as shuffled zero bytes vanish.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from datasets.events import EVENT_DTYPE, Events
from datasets.sample import Sample
from neuva import NeuvaError, atomic_path

FORMAT = "neuva-store"
SCHEMA = 1
EVENT_COLUMNS = {"dt": np.int64, "x": np.int16, "y": np.int16, "p": np.int8}
LABEL_COLUMNS = {"time": np.int64, "va": np.float32, "valid": np.bool_}
CHUNK = 1 << 16  # events a chunk: large enough to compress, small enough to read one short clip
FILTER = hdf5plugin.Blosc(cname="zstd", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE)


@dataclass(frozen=True)
class Header:
    """What holds for the whole store; `provenance` (JSON): source, settings, seed, versions."""

    dataset: str
    sensor_size: tuple[int, int]
    provenance: Mapping[str, Any]

    def to_json(self) -> str:
        """Text that is equal exactly if everything in the header, and the schema, is."""
        return to_json({"schema": SCHEMA, **vars(self)}, "provenance")


@dataclass(frozen=True)
class StoredClip:
    """A clip as it goes into a store."""

    name: str
    split: str
    sample: Sample
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def write_store(path: Path, header: Header, clips: Iterable[StoredClip]) -> None:
    """Write a store in one go, clip by clip; the file appears when it is whole.

    Raises:
        NeuvaError: if something cannot be stored or the disk cannot take it.
    """
    with atomic_path(path) as temporary:
        try:
            with h5py.File(temporary, "w") as file:
                _write(file, header, clips)
        except OSError as error:
            raise NeuvaError(f"{path}: cannot be written ({error}): free space or choose another place") from error


def read_sample(file: h5py.File, row: int) -> Sample:
    """Clip number `row` of a store file."""
    labels = slice(*file["clips/labels"][row])
    times, va, valid = (file["labels"][name][labels] for name in LABEL_COLUMNS)
    return Sample(_read_events(file, row), times, va, valid, read_meta(file, row))


def read_meta(file: h5py.File, row: int) -> dict[str, Any]:
    """What else is known of clip number `row`."""
    return json.loads(file["clips/meta"].asstr()[row])


def _read_events(file: h5py.File, row: int) -> Events:
    rows = slice(*file["clips/events"][row])
    array = np.empty(rows.stop - rows.start, EVENT_DTYPE)
    array["t"] = file["clips/t0"][row] + np.cumsum(file["events/dt"][rows])
    for name in "xyp":
        array[name] = file["events"][name][rows]
    return Events(array, sensor_size(file))


def read_arrays(file: h5py.File, row: int) -> dict[str, np.ndarray]:
    """All extra arrays of clip number `row`."""
    group = file.get(f"arrays/{row:06d}", {})
    return {key: group[key][()] for key in group}


def sensor_size(file: h5py.File) -> tuple[int, int]:
    """(width, height) of the sensor."""
    width, height = file.attrs["sensor_size"]
    return int(width), int(height)


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


def _write(file: h5py.File, header: Header, clips: Iterable[StoredClip]) -> None:
    file.attrs.update(
        format=FORMAT, schema=SCHEMA, dataset=header.dataset, sensor_size=np.array(header.sensor_size, np.int64)
    )
    file["provenance"] = to_json(header.provenance, "provenance")
    events = {name: _column(file, f"events/{name}", (0,), dtype) for name, dtype in EVENT_COLUMNS.items()}
    shapes = {"va": (0, 2)}
    labels = {
        name: _column(file, f"labels/{name}", shapes.get(name, (0,)), dtype) for name, dtype in LABEL_COLUMNS.items()
    }
    index: dict[str, list[Any]] = {key: [] for key in ("name", "split", "meta", "t0", "events", "labels")}
    for row, clip in enumerate(clips):
        sample = clip.sample
        index["name"].append(clip.name)
        index["split"].append(clip.split)
        index["meta"].append(to_json(sample.meta, f"meta of clip {clip.name}"))
        index["t0"].append(sample.events.t0)
        array = sample.events.array
        dt = np.diff(array["t"], prepend=sample.events.t0)
        index["events"].append(_append(events, {"dt": dt, "x": array["x"], "y": array["y"], "p": array["p"]}))
        columns = {"time": sample.label_times, "va": sample.labels, "valid": sample.mask}
        index["labels"].append(_append(labels, columns))
        for key, extra in clip.arrays.items():
            _write_array(file, f"arrays/{row:06d}", key, np.asarray(extra), clip.name)
    for key in ("name", "split", "meta"):
        file.create_dataset(f"clips/{key}", data=index[key], shape=(len(index[key]),), dtype=h5py.string_dtype())
    file["clips/t0"] = np.array(index["t0"], np.int64)
    for key in ("events", "labels"):
        file[f"clips/{key}"] = np.array(index[key], np.int64).reshape(-1, 2)


def _column(file: h5py.File, name: str, shape: tuple[int, ...], dtype: type) -> h5py.Dataset:
    chunks, most = (CHUNK, *shape[1:]), (None, *shape[1:])
    return file.create_dataset(name, shape, dtype, chunks=chunks, maxshape=most, **FILTER)


def _append(columns: dict[str, h5py.Dataset], new: dict[str, np.ndarray]) -> tuple[int, int]:
    start = len(next(iter(columns.values())))
    stop = start + len(next(iter(new.values())))
    for name, column in columns.items():
        column.resize(stop, axis=0)
        column[start:stop] = new[name]
    return start, stop


def _write_array(file: h5py.File, group: str, key: str, array: np.ndarray, clip: str) -> None:
    if not key.isidentifier() or array.dtype.kind not in "biufc":
        raise NeuvaError(f'array "{key}" of clip {clip} is {array.dtype}: give a plain name and numbers')
    filters: Mapping[str, Any] = FILTER if array.size and array.ndim else {}  # HDF5 compresses chunks, not scalars
    file.create_dataset(f"{group}/{key}", data=array, **filters)
