"""One job of a study, done once and kept in a folder of its own."""

from __future__ import annotations

import errno
import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import torch

from datasets.store.disk import disk_errors
from datasets.store.lock import only_writer
from experiments.studies.provenance import made_with
from experiments.studies.study import Job, Progress
from neuva import NeuvaError, atomic_path, make_folder

KEY, RESULT = "key", "result.json"
LEAST = 2**20
"""Bytes that a disk has at least when it is not full."""

_alone = threading.Lock()
"""Held by the job that is done: torch's own draws and number of threads are the whole process's."""


@dataclass(frozen=True)
class Finished:
    """A job that is done.

    key: a hash of what it was made from. seconds: it took. made_with: see there. result: what it gave, as JSON.
    """

    key: str
    seconds: float
    made_with: dict[str, str]
    result: dict[str, Any]


def do(job: Job, key: str, folder: Path, progress: Progress) -> Finished:
    """Do a job in one thread, and no other in this process meanwhile, so that it gives the same as alone.

    What is in the folder is removed if it was begun with another key; else the job may go on from it.

    Raises:
        NeuvaError: if it fails or gives what is no JSON, its disk is full, or a worker of a stopped run still does it;
            the message names it.
    """
    try:
        with _alone, _one_thread(), only_writer(folder, "wait for it, or end it: a worker of a stopped run, maybe"):
            _begin(folder, key)
            started = time.perf_counter()
            result = job.run(folder, progress)
            seconds = time.perf_counter() - started
    except NeuvaError as error:
        raise NeuvaError(f"job {job.name}: {error}") from error
    except Exception as error:
        if _full(folder, error):
            raise NeuvaError(f"job {job.name}: {folder}: the disk is full: free some space, and go on") from error
        error.add_note(f"while doing job {job.name}")
        raise
    try:
        plain = json.loads(json.dumps(result, allow_nan=False))  # as one who reads it later finds it
    except (TypeError, ValueError) as error:
        raise NeuvaError(f"job {job.name}: its result is no JSON ({error}): give None for what is undefined") from error
    return Finished(key, seconds, made_with(), plain)


def _full(folder: Path, error: Exception) -> bool:
    """Whether the disk is full: numpy and torch do not tell why a write failed."""
    told = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return told or (isinstance(error, OSError | RuntimeError) and shutil.disk_usage(folder).free < LEAST)


def keep(folder: Path, finished: Finished) -> None:
    """Write down a finished job."""
    with disk_errors(folder), atomic_path(folder / RESULT) as temporary:
        temporary.write_text(json.dumps(vars(finished), indent=2))


def kept(folder: Path) -> Finished | None:
    """The finished job of a folder, of whatever key; None where there is none, or its file is damaged."""
    try:
        return Finished(**json.loads((folder / RESULT).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _begin(folder: Path, key: str) -> None:
    begun = folder / KEY
    if not begun.is_file() or begun.read_text() != key:
        if folder.is_dir():
            shutil.rmtree(folder)
        make_folder(folder)
        with atomic_path(begun) as temporary:
            temporary.write_text(key)
    for left in folder.rglob(".*"):  # half a file, of a job that was killed as it wrote
        if left.is_file():
            left.unlink()


@contextmanager
def _one_thread() -> Iterator[None]:
    before, kernels = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        numba.set_num_threads(kernels)
