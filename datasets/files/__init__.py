"""Event files in and out: `read_events`, `write_events`, and `describe` for what is in a stream.

A format is known by what the file starts with, then by its suffix. To add one, write a module
with a `Format` and put it in `FORMATS`.
"""

from __future__ import annotations

import logging
from pathlib import Path

from datasets.events import Events
from datasets.files import aedat4, other_cameras, own, prophesee
from datasets.files.format import Format, Recording
from datasets.files.summary import EventSummary, describe
from neuva import NeuvaError

__all__ = ["FORMATS", "WRITERS", "EventSummary", "Format", "Recording", "describe", "read_events", "write_events"]

log = logging.getLogger(__name__)

FORMATS: dict[str, Format] = {
    "AEDAT4": aedat4.FORMAT,
    "EVT2": prophesee.EVT2,
    "EVT3": prophesee.EVT3,
    "DAT": prophesee.DAT,
    "Event Stream": other_cameras.EVENT_STREAM,
    "N-MNIST bin": other_cameras.BIN,
    "neuva HDF5": own.HDF5,
    "neuva NPZ": own.NPZ,
}
WRITERS = {".npz": own.write_npz, ".h5": own.write_hdf5, ".hdf5": own.write_hdf5}
HEAD = 4096  # bytes enough for every text header's first lines


def read_events(path: str | Path, *, sensor_size: tuple[int, int] | None = None, repair: bool = False) -> Events:
    """Read any event file.

    Args:
        path: the file.
        sensor_size: (width, height) expected; needed where the file does not tell it.
        repair: sort and drop bad events, and keep what stands before the damage of a damaged file.

    Raises:
        NeuvaError: if it is missing, empty, no event file, damaged, of another sensor size than asked,
            or holds bad events.
    """
    path = Path(path)
    recording = FORMATS[_format_of(path)].read(path)
    if recording.damage:
        found = f"{path}: {recording.damage} after {len(recording.t)} events"
        if not repair:
            raise NeuvaError(f"{found}: read with repair=True to keep these")
        log.warning("%s", found)
    size = _agreed_size(path, recording.sensor_size, sensor_size)
    try:
        return Events.from_columns(recording.t, recording.x, recording.y, recording.p, size, repair=repair)
    except NeuvaError as error:
        raise NeuvaError(f"{path}: {error}") from error


def write_events(path: str | Path, events: Events) -> None:
    """Write events as NPZ (.npz) or as a store of one clip (.h5, .hdf5); a killed run leaves no half file.

    Raises:
        NeuvaError: for another suffix or a place that cannot be written.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise NeuvaError(f"{path}: events are written as {', '.join(WRITERS)}: choose one of these suffixes")
    writer(path, events)


def _format_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise NeuvaError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    if not head:
        raise NeuvaError(f"{path}: is empty (0 bytes): record or copy it again")
    for name, known in FORMATS.items():
        if known.matches(head, path.suffix.lower()):
            return name
    raise NeuvaError(f"{path}: no event file (starts with {head[:8]!r}): read are {', '.join(FORMATS)}")


def _agreed_size(path: Path, told: tuple[int, int] | None, asked: tuple[int, int] | None) -> tuple[int, int]:
    size = asked or told
    if size is None:
        raise NeuvaError(f"{path}: does not tell its sensor size: give it (sensor_size=, or --sensor WIDTHxHEIGHT)")
    if told and asked and tuple(told) != tuple(asked):
        raise NeuvaError(
            f"{path}: its sensor is {told[0]}x{told[1]}, asked for {asked[0]}x{asked[1]}: "
            "ask for the file's size, then rescale or crop the events"
        )
    return (int(size[0]), int(size[1]))
