"""The files that a store is made from: whether they are still the same, and that none of them is written over."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from neuva import NeuvaError


def fingerprint(inputs: Iterable[Path]) -> str:
    """SHA-256 over the name, size and time of last change of every file, in the order given.

    A folder stands for the files in it, but not for hidden ones (lock files, thumbnails) or those of folders below.
    Contents are not read: a data set may be hundreds of gigabytes.

    Raises:
        NeuvaError: if an input is missing or its folder cannot be read.
    """
    digest = sha256()
    for path in inputs:
        try:
            for name, told in _files(path):
                digest.update(f"{name!r} {told.st_size} {told.st_mtime_ns}\n".encode())
        except OSError as error:
            raise NeuvaError(f"{path}: cannot be looked up ({error.strerror}): copy it again") from error
        digest.update(b"\n")
    return digest.hexdigest()


def keep_apart(out: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that is one of the inputs, by whatever path, or would lie in a folder of them.

    Raises:
        NeuvaError: naming the input.
    """
    place = out.resolve()
    for each in inputs:
        found = each.resolve()
        if found == place:
            raise NeuvaError(f"{out}: is one of the command's own inputs: give the output another name")
        if found == place.parent and found.is_dir():
            raise NeuvaError(f"{out}: lies in {each}, whose files are the command's own inputs: write it elsewhere")


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    if not path.is_dir():
        yield path.name, path.stat()
        return
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.name.startswith(".") and entry.is_file():
                yield entry.name, entry.stat()
