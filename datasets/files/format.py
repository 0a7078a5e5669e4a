"""What a file format is: how its files are known, how they are read piece by piece, and how written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.events import Events
from neuva import NeuvaError

PIECE = 1 << 20
"""Events a reader hands over at once, about: 13 MB, so that a file of any length passes in constant memory."""


@dataclass(frozen=True)
class Recording:
    """A file opened for reading.

    sensor_size: (width, height), None where the file does not tell.
    pieces: the events in the order of the file, `EVENT_DTYPE` arrays of about `PIECE` events, unchecked: they may
        run backwards or lie outside the sensor. Where the rest cannot be read it raises `Damage` after the last
        good piece. The file is opened by the first piece and closed by the last, or by closing the iterator.
    """

    sensor_size: tuple[int, int] | None
    pieces: Iterator[np.ndarray]


class Damage(Exception):  # noqa: N818  no error by itself: with repair=True what stands before it is kept
    """Raised by a reader where a file is damaged or cut off.

    what: what is wrong there. offset: the byte it is at, None where the reader cannot know.
    """

    def __init__(self, what: str, offset: int | None = None) -> None:
        super().__init__(what)
        self.what, self.offset = what, offset

    def __str__(self) -> str:
        return self.what if self.offset is None else f"{self.what} at byte {self.offset}"


@dataclass(frozen=True)
class Format:
    """A kind of event file.

    open: path -> Recording; raises NeuvaError if not even the header can be read.
    start: regular expression that the first bytes of its files match.
    suffix: what its files end with, where the first bytes do not tell; "" where they do.
    write: (path, sensor_size, pieces) writes the pieces, `Events` in order of time; None where it is only read.
        The path is temporary: renaming it is the caller's.
    """

    open: Callable[[Path], Recording]
    start: bytes = b""
    suffix: str = ""
    write: Callable[[Path, tuple[int, int], Iterator[Events]], None] | None = None

    def matches(self, head: bytes, suffix: str) -> bool:
        """Whether a file with these first bytes and this suffix (in lower case) is of this format."""
        return re.match(self.start, head, re.IGNORECASE | re.DOTALL) is not None and self.suffix in ("", suffix)


@contextmanager
def library_errors(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a file library raises into a NeuvaError that names the file and the cause.

    Libraries written in Rust report a panic by an exception that is no `Exception`, so all are caught.
    """
    try:
        yield
    except (NeuvaError, Damage, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise NeuvaError(f"{path}: {what} is damaged or truncated ({error}): record or copy it again") from error
