"""Every format, and how the right one is found: by what a file starts with, then by its suffix, or by name."""

from __future__ import annotations

from pathlib import Path

from datasets.files import aedat2, aedat4, dat, event_stream, evt2, evt3, hdf5, nmnist, numpy_files, text
from datasets.files.format import Format
from neuva import NeuvaError

FORMATS: dict[str, Format] = {
    "AEDAT2": aedat2.FORMAT,
    "AEDAT4": aedat4.FORMAT,
    "EVT2": evt2.EVT2,
    "EVT2.1": evt2.EVT21,
    "EVT3": evt3.FORMAT,
    "DAT": dat.FORMAT,
    "Event Stream": event_stream.FORMAT,
    "N-MNIST bin": nmnist.FORMAT,
    "HDF5": hdf5.FORMAT,
    "NPZ": numpy_files.NPZ,
    "NPY": numpy_files.NPY,
    "CSV": text.CSV,
    "text": text.TEXT,
}
"""To add one, write a module with a `Format` and name it here."""

WRITTEN = {
    ".aedat4": "AEDAT4",
    ".raw": "EVT3",
    ".dat": "DAT",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".npz": "NPZ",
    ".npy": "NPY",
    ".csv": "CSV",
}
"""The format that is written by a file's suffix."""

VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
"""Suffixes of what is no event file, but can be made one."""

HEAD = 4096  # bytes enough for every text header's first lines


def format_of(path: Path) -> str:
    """The name of the format of a file.

    Raises:
        NeuvaError: if the file cannot be read, is empty or of no known format.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise NeuvaError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    if path.suffix.lower() in VIDEOS:
        raise NeuvaError(f"{path}: is a video: make events of it first, `neuva simulate {path} {path.stem}.h5`")
    if not head:
        raise NeuvaError(f"{path}: is empty (0 bytes): record or copy it again")
    for name, known in FORMATS.items():
        if known.matches(head, path.suffix.lower()):
            return name
    raise NeuvaError(f"{path}: no event file (starts with {head[:8]!r}): read are {', '.join(FORMATS)}")


def format_to_write(path: Path, name: str | None) -> str:
    """The format a file is written in: by name (upper or lower case), else by its suffix.

    Raises:
        NeuvaError: if there is no such format, it is only read, or the suffix tells none.
    """
    if name is None:
        if path.suffix.lower() not in WRITTEN:
            raise NeuvaError(f"{path}: events are written as {', '.join(WRITTEN)}: choose one of these suffixes")
        return WRITTEN[path.suffix.lower()]
    writable = {known: what for known, what in FORMATS.items() if what.write is not None}
    for known in writable:
        if known.lower() == name.lower():
            return known
    raise NeuvaError(f'{path}: "{name}" is no format that is written: choose one of {", ".join(writable)}')
