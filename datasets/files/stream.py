"""Reading and writing event files, whole or piece by piece in constant memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from datasets.events import BEGINNING, EVENT_DTYPE, Events, check, inside, time_sorted
from datasets.files.format import PIECE, Damage
from datasets.files.registry import FORMATS, format_of, format_to_write
from neuva import NeuvaError, atomic_path

log = logging.getLogger(__name__)

WINDOW = 100_000
"""Microseconds by which an event may be late and still be sorted in where a stream is repaired."""
MOST_HELD = 8 * PIECE  # events kept back for that, 109 MB: a clock that stands still must not fill the memory
FIRST_ROOM = 16 * PIECE  # events for which room is set aside before any is read: 218 MB, if they come
LONGEST_SIDE = np.iinfo(EVENT_DTYPE["x"]).max


class EventStream:
    """The events of a file as checked `Events`, a piece at a time, sorted also from one to the next; iterable once.

    path: the file. format: the name of its format. sensor_size: (width, height).

    Raises:
        NeuvaError: while it is iterated, as `read_events` does; or if it is iterated again.
    """

    def __init__(
        self, path: Path, name: str, sensor_size: tuple[int, int], pieces: Iterator[np.ndarray], repair: bool
    ) -> None:
        self.path, self.format, self.sensor_size = path, name, sensor_size
        self._pieces: Iterator[np.ndarray] | None = pieces
        self._repair = repair

    def __iter__(self) -> Iterator[Events]:
        pieces = _intact(self.path, self._take(), self._repair)
        arrays = _repaired(self.path, pieces, self.sensor_size) if self._repair else self._checked(pieces)
        return (Events.unchecked(array, self.sensor_size) for array in arrays)

    def whole(self) -> Events:
        """All events at once; where they are repaired, sorted however late they come."""
        try:
            return self._whole()
        except MemoryError as error:
            raise NeuvaError(
                f"{self.path}: its events do not fit into memory: read it piece by piece (stream_events), or cut it"
            ) from error

    def _whole(self) -> Events:
        pieces = _intact(self.path, self._take(), self._repair)
        if not self._repair:
            return Events.unchecked(_gathered(self._checked(pieces), self.path), self.sensor_size)
        array = _gathered(pieces, self.path)
        good = array[inside(array, self.sensor_size)]
        ordered, moved = time_sorted(good)
        _report(self.path, f"{len(array) - len(good)} events outside the sensor dropped", len(array) - len(good), moved)
        return Events.unchecked(ordered, self.sensor_size)

    def _take(self) -> Iterator[np.ndarray]:
        if self._pieces is None:
            raise NeuvaError(f"{self.path}: this stream has been read: open it again with stream_events")
        pieces, self._pieces = self._pieces, None
        return pieces

    def _checked(self, pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        row, last = 0, BEGINNING
        for piece in pieces:
            try:
                check(piece, self.sensor_size, first_row=row, after=last)
            except NeuvaError as error:
                raise NeuvaError(f"{self.path}: {error}") from error
            if len(piece):
                row, last = row + len(piece), int(piece["t"][-1])
                yield piece


def stream_events(path: str | Path, *, sensor_size: tuple[int, int] | None = None, repair: bool = False) -> EventStream:
    """Open an event file of any length, to be read piece by piece in constant memory.

    Args:
        path: the file.
        sensor_size: (width, height) expected; needed where the file does not tell it.
        repair: drop what lies outside the sensor, sort events that are at most `WINDOW` late and drop later ones,
            and keep what stands before the damage of a damaged file. How many is logged.

    Raises:
        NeuvaError: as `read_events`.
    """
    path = Path(path)
    name = format_of(path)
    recording = FORMATS[name].open(path)
    size = _agreed_size(path, recording.sensor_size, sensor_size)
    return EventStream(path, name, size, recording.pieces, repair)


def read_events(path: str | Path, *, sensor_size: tuple[int, int] | None = None, repair: bool = False) -> Events:
    """Read any event file whole.

    Args:
        path: the file.
        sensor_size: (width, height) expected; needed where the file does not tell it.
        repair: sort and drop bad events, and keep what stands before the damage of a damaged file.

    Raises:
        NeuvaError: if it is missing, empty, no event file, damaged, of another sensor size than asked,
            or holds bad events.
    """
    return stream_events(path, sensor_size=sensor_size, repair=repair).whole()


def write_events(
    path: str | Path,
    events: Events | EventStream,
    *,
    format: str | None = None,  # noqa: A002  the word of the command line
) -> int:
    """Write events in the format that the suffix tells (`WRITTEN`; .raw is EVT3) or that is named.

    The file is written under a temporary name, then renamed: a killed run leaves no half file.

    Returns:
        The number of events written.

    Raises:
        NeuvaError: for an unknown format, a place that cannot be written, the file that is being read, or events
            that the format cannot hold.
    """
    path = Path(path)
    write = FORMATS[format_to_write(path, format)].write
    if write is None:  # format_to_write chooses none of these
        raise NeuvaError(f"{path}: this format is only read")
    if isinstance(events, EventStream) and path.exists() and path.samefile(events.path):
        raise NeuvaError(f"{path}: is the file that is read: write to another one")
    count = 0

    def pieces() -> Iterator[Events]:
        nonlocal count
        for piece in (events,) if isinstance(events, Events) else events:
            count += len(piece)
            yield piece

    with atomic_path(path) as temporary:
        try:
            write(temporary, events.sensor_size, pieces())
        except OSError as error:
            raise NeuvaError(f"{path}: cannot be written ({error.strerror or error}): choose another place") from error
    return count


def _agreed_size(path: Path, told: tuple[int, int] | None, asked: tuple[int, int] | None) -> tuple[int, int]:
    for size, cure in ((told, "its header is damaged: copy it again"), (asked, "ask for its true size")):
        if size and not all(1 <= side <= LONGEST_SIDE for side in size):
            raise NeuvaError(f"{path}: its sensor would be {size[0]}x{size[1]}; sides are 1 to {LONGEST_SIDE}: {cure}")
    size = asked or told
    if size is None:
        raise NeuvaError(f"{path}: does not tell its sensor size: give it (sensor_size=, or --sensor WIDTHxHEIGHT)")
    if told and asked and tuple(told) != tuple(asked):
        raise NeuvaError(
            f"{path}: its sensor is {told[0]}x{told[1]}, asked for {asked[0]}x{asked[1]}: "
            "ask for the file's size, then rescale or crop the events"
        )
    return (int(size[0]), int(size[1]))


def _intact(path: Path, pieces: Iterator[np.ndarray], repair: bool) -> Iterator[np.ndarray]:
    """The pieces before damage, which is an error unless `repair`."""
    count = 0
    try:
        for piece in pieces:
            count += len(piece)
            yield piece
    except Damage as damage:
        found = f"{path}: {damage} after {count} events"
        if not repair:
            raise NeuvaError(f"{found}: read with repair=True to keep these") from damage
        log.warning("%s", found)


def _repaired(path: Path, pieces: Iterator[np.ndarray], sensor_size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Each piece sorted together with the newest events before it, which are held back for that.

    A piece has come as far as half of its events: a few that are dated far too late hold back themselves alone.
    """
    held = np.empty(0, EVENT_DTYPE)
    given, dropped, moved = BEGINNING, 0, 0
    for piece in pieces:
        good = piece[inside(piece, sensor_size) & (piece["t"] >= given)]
        dropped += len(piece) - len(good)
        if not len(good):
            continue
        held, steps = time_sorted(np.concatenate([held, good]))
        moved += steps
        reached = int(np.partition(good["t"], len(good) // 2)[len(good) // 2])
        ready = max(int(np.searchsorted(held["t"], max(reached - WINDOW, BEGINNING))), len(held) - MOST_HELD)
        if ready:
            given = int(held["t"][ready - 1])
            yield held[:ready]
            held = held[ready:]
    if len(held):
        yield held
    _report(path, f"{dropped} events outside the sensor or over {WINDOW} us late dropped", dropped, moved)


def _report(path: Path, dropping: str, dropped: int, moved: int) -> None:
    if dropped or moved:
        log.warning("%s: repaired: %s, %d steps back in time sorted", path, dropping, moved)


def _gathered(pieces: Iterator[np.ndarray], path: Path) -> np.ndarray:
    """The pieces as one array, copied once.

    Room is set aside for an event to 2 bytes of the file, more than most files hold, and doubled where it is full:
    memory is only taken up where it is written, and the rest given back. Copied as bytes, which is three times as fast
    as field by field.
    """
    room = np.empty(min(path.stat().st_size // 2 + 1, FIRST_ROOM), EVENT_DTYPE)
    count = 0
    for piece in pieces:
        if count + len(piece) > len(room):
            larger = np.empty(2 * (count + len(piece)), EVENT_DTYPE)
            _bytes(larger)[: count * EVENT_DTYPE.itemsize] = _bytes(room[:count])
            room = larger
        begin, count = count, count + len(piece)
        _bytes(room[begin:count])[:] = _bytes(piece)
    room.resize(count, refcheck=False)
    return room


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.uint8)
