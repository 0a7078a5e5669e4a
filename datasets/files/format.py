"""What a file format is: how its files are known, and what its reader hands over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuva import NeuvaError


@dataclass(frozen=True)
class Recording:
    """The columns of a file as they stand there, unchecked.

    t: microseconds [N]; x, y: pixels [N]; p: 0 or 1 [N].
    sensor_size: (width, height), None where the file does not tell.
    damage: what is wrong with the rest of the file where the columns are not all of it.
    """

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    sensor_size: tuple[int, int] | None
    damage: str = ""


@dataclass(frozen=True)
class Format:
    """A kind of event file.

    read: path -> Recording. start: regular expression that the first bytes of its files match.
    suffix: what its files end with, where the first bytes do not tell; "" where they do.
    """

    read: Callable[[Path], Recording]
    start: bytes = b""
    suffix: str = ""

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
    except (NeuvaError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise NeuvaError(f"{path}: {what} is damaged or truncated ({error}): record or copy it again") from error
