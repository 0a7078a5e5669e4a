"""NPZ and NPY files of events.

NPZ: arrays t, x, y, p [N] under any of the usual names, and sensor_size (width, height) where it is ours; or one array
as in NPY. NPY: a structured array with such fields, or [N, 4] of t, x, y, p or of x, y, p, t. Nothing is unpickled.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from datasets.events import EVENT_DTYPE, Events
from datasets.files.columns import find_columns, find_order, is_seconds, to_events
from datasets.files.format import PIECE, Damage, Format, Recording, library_errors
from neuva import NeuvaError

SIZE_KEY = "sensor_size"
HEAD = 1000  # rows by which unnamed columns and the unit of time are known
LEVEL = 1  # of compression: five times as fast as the usual 6, files a tenth larger


@dataclass(frozen=True)
class Array:
    """`count` elements of `dtype` from byte `start` of a file, or of a member of a ZIP file, that is not yet open."""

    path: Path
    member: str | None
    start: int
    dtype: np.dtype
    count: int

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """The file at the first element."""
        with ExitStack() as stack:
            if self.member is None:
                file: IO[bytes] = stack.enter_context(self.path.open("rb"))
            else:
                file = stack.enter_context(stack.enter_context(zipfile.ZipFile(self.path)).open(self.member))
            file.seek(self.start)
            yield file


def open_npz(path: Path) -> Recording:
    """Arrays t, x, y, p, or one array of events.

    Raises:
        NeuvaError: if one is missing or of another kind, or the file is damaged.
    """
    with library_errors(path, "the NPZ file"):
        with zipfile.ZipFile(path) as file:
            names = [name.removesuffix(".npy") for name in file.namelist() if name.endswith(".npy")]
        size = _sensor_size(path) if SIZE_KEY in names else None
        names = [name for name in names if name != SIZE_KEY]
        if len(names) == 1:
            return _table(path, f"{names[0]}.npy", size)
        wanted = [names[place] for place in find_columns(path, names)]
        arrays = [_arrays(path, f"{name}.npy")[0] for name in wanted]
    if len({array.count for array in arrays}) > 1:
        lengths = ", ".join(f"{name} {array.count}" for name, array in zip(wanted, arrays, strict=True))
        raise NeuvaError(f"{path}: its arrays differ in length: {lengths}")
    return _recording(size, arrays, lambda read: read)


def open_npy(path: Path) -> Recording:
    """One array of events; it does not tell the sensor size.

    Raises:
        NeuvaError: if it is of another kind, or its header is damaged.
    """
    with library_errors(path, "the NPY file"):
        return _table(path, None, None)


def _table(path: Path, member: str | None, size: tuple[int, int] | None) -> Recording:
    """Events of a structured array [N] or of numbers [N, 4]."""
    arrays = _arrays(path, member)
    if fields := arrays[0].dtype.names:
        wanted = [fields[place] for place in find_columns(path, fields)]
        return _recording(size, arrays, lambda read: [read[0][name] for name in wanted])
    if len(arrays) == 1 and arrays[0].dtype.shape != (4,):
        shape = [arrays[0].count, *arrays[0].dtype.shape]
        raise NeuvaError(f"{path}: holds {arrays[0].dtype.base} {shape}; needed: fields t, x, y, p, or numbers [N, 4]")

    def columns(read: list[np.ndarray]) -> list[np.ndarray]:
        return read if len(read) == 4 else list(read[0].T)

    order = find_order(path, columns(_head(arrays)))
    return _recording(size, arrays, lambda read: [columns(read)[place] for place in order])


def _recording(
    size: tuple[int, int] | None, arrays: list[Array], pick: Callable[[list[np.ndarray]], list[np.ndarray]]
) -> Recording:
    head = pick(_head(arrays))
    for name, column in zip("txyp", head, strict=True):
        if column.dtype.kind not in "iufb" or column.ndim != 1:
            raise NeuvaError(f"{arrays[0].path}: {name} is {column.dtype} {list(column.shape)}; needed: numbers [N]")
    return Recording(size, _pieces(arrays, pick, is_seconds(head[0])))


def _pieces(
    arrays: list[Array], pick: Callable[[list[np.ndarray]], list[np.ndarray]], seconds: bool
) -> Iterator[np.ndarray]:
    done = 0
    for read in _reads(arrays, PIECE):
        events = to_events(pick(read), seconds)
        yield events
        done += len(events)
        if len(events) < len(read[0]):
            raise Damage(f"row {done} is no event: a number is not whole or not finite")


def _head(arrays: list[Array]) -> list[np.ndarray]:
    try:
        return next(_reads(arrays, HEAD), [np.empty(0, array.dtype) for array in arrays])
    except Damage as damage:
        raise NeuvaError(f"{arrays[0].path}: {damage} before the first event: record or copy it again") from damage


def _reads(arrays: list[Array], rows: int) -> Iterator[list[np.ndarray]]:
    """So many elements of each array at a time.

    Raises:
        Damage: where the file ends too early or does not unpack.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(array.opened()) for array in arrays]
        for first in range(0, arrays[0].count, rows):
            want = min(rows, arrays[0].count - first)
            try:
                read = [file.read(want * array.dtype.itemsize) for file, array in zip(files, arrays, strict=True)]
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
                raise Damage(f"the file does not unpack ({error})") from error
            there = min(len(data) // array.dtype.itemsize for data, array in zip(read, arrays, strict=True))
            if there:
                yield [np.frombuffer(data, array.dtype, there) for data, array in zip(read, arrays, strict=True)]
            if there < want:
                end = arrays[0].start + (first + there) * arrays[0].dtype.itemsize
                raise Damage("the file is cut off", end if arrays[0].member is None else None)


def _arrays(path: Path, member: str | None) -> list[Array]:
    """The array of an NPY file as rows; as four columns where it is [N, 4] stored column by column."""
    bare = Array(path, member, 0, np.dtype(np.uint8), 0)
    with bare.opened() as file:
        version = npy.read_magic(file)
        shape, by_columns, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
        start = file.tell()
    if dtype.hasobject:
        raise NeuvaError(f"{path}: holds objects, which are not unpickled (allow_pickle=False): save numbers")
    if by_columns and len(shape) == 2 and shape[1] == 4:
        step = shape[0] * dtype.itemsize
        return [replace(bare, start=start + step * place, dtype=dtype, count=shape[0]) for place in range(4)]
    rows = np.dtype((dtype, shape[1:])) if shape else dtype
    if (by_columns and len(shape) > 1) or not shape or not rows.itemsize:
        raise NeuvaError(f"{path}: holds {dtype} {list(shape)}; needed: [N] or [N, 4]")
    return [replace(bare, start=start, dtype=rows, count=shape[0])]


def _sensor_size(path: Path) -> tuple[int, int]:
    sides = _arrays(path, f"{SIZE_KEY}.npy")[0]
    if sides.count != 2 or sides.dtype.kind not in "iu":
        raise NeuvaError(f"{path}: {SIZE_KEY} is {sides.dtype} [{sides.count}]; needed: two integers, width and height")
    width, height = _head([sides])[0].tolist()
    return width, height


def write_npy(path: Path, _: tuple[int, int], pieces: Iterator[Events]) -> None:
    """A structured array t, x, y, p; the sensor size is not kept."""
    count = 0
    with path.open("wb") as file:
        _write_header(file, EVENT_DTYPE, count)
        for piece in pieces:
            file.write(np.ascontiguousarray(piece.array).data)
            count += len(piece)
        file.seek(0)
        _write_header(file, EVENT_DTYPE, count)


def write_npz(path: Path, sensor_size: tuple[int, int], pieces: Iterator[Events]) -> None:
    """Compressed arrays t, x, y, p and sensor_size.

    A ZIP file takes one array after the other, each told its length first: the columns wait in files beside it.
    """
    count = 0
    with ExitStack() as stack:
        columns = {name: stack.enter_context(tempfile.TemporaryFile(dir=path.parent)) for name in "txyp"}
        for piece in pieces:
            for name, column in columns.items():
                column.write(np.ascontiguousarray(piece.array[name]).data)
            count += len(piece)
        file = stack.enter_context(zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL))
        for name, column in columns.items():
            column.seek(0)
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_header(member, EVENT_DTYPE[name], count)
                shutil.copyfileobj(column, member, 1 << 20)
        with file.open(f"{SIZE_KEY}.npy", "w") as member:
            npy.write_array(member, np.array(sensor_size, np.int64), allow_pickle=False)


def _write_header(file: IO[bytes], dtype: np.dtype, count: int) -> None:
    """The header has room for a longer count, so it can be written again in place."""
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)}
    npy.write_array_header_1_0(file, header)


NPZ = Format(open_npz, start=rb"PK\x03\x04", write=write_npz)
NPY = Format(open_npy, start=rb"\x93NUMPY", write=write_npy)
