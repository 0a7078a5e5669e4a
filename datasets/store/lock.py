"""One writer of a store, or of a study's folder, at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from datasets.store.disk import disk_errors
from neuva import NeuvaError, make_folder


@contextmanager
def only_writer(path: Path, cure: str = "wait for it, or name another") -> Iterator[None]:
    """Hold a file beside `path` locked, so that no other run makes the same; a killed run holds nothing.

    On a file system without locks the block runs all the same. cure: said to whom is refused.

    Raises:
        NeuvaError: if another run holds it, or the place cannot be written.
    """
    make_folder(path.parent)
    lock = path.with_name(f".{path.name}.lock")
    with disk_errors(path):
        held = _locked(path, lock, cure)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # before it is let go: whoever waits for it finds another file, and looks again
        os.close(held)


def _locked(path: Path, lock: Path, cure: str) -> int:
    while True:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(file)
            raise NeuvaError(f"{path}: another run is making it: {cure}") from error
        except OSError:  # this file system has no locks
            return file
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), lock.stat()):
                return file
        os.close(file)  # its last holder has removed it meanwhile
