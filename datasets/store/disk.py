"""A file on a disk that may be full, as HDF5 needs it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuva import NeuvaError, unwritable


class SwallowingFile(io.FileIO):
    """A file that takes every write, and keeps the first failure for whoever asks by `check`.

    What HDF5 could not write it tries to write again when the file is closed and when the process ends, and crashes
    it. So it is told that all went well; the file is then thrown away. Use it only within `uninterrupted`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._failure: BaseException | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`, or remember why not."""
        try:
            rest = memoryview(data).cast("B")
            size = len(rest)
            while rest and self._failure is None:
                rest = rest[super().write(rest) :]  # a nearly full disk takes a part
        except BaseException as failure:
            self._failure = self._failure or failure
        return size

    def truncate(self, size: int | None = None) -> int:
        """Change the length, or remember why not."""
        try:
            return super().truncate(size)
        except BaseException as failure:
            self._failure = self._failure or failure
        return size or 0

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self._failure is not None:
            raise self._failure


@contextmanager
def disk_errors(path: Path, comfort: str = "") -> Iterator[None]:
    """Turn what a disk that is full, read-only or broken raises into a NeuvaError that names the file, and comforts."""
    try:
        yield
    except OSError as error:
        raise NeuvaError(f"{unwritable(path, error)}{comfort}") from error
