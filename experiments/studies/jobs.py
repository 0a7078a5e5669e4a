"""One job of a study, done once and kept in a folder of its own."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.studies.study import Job, Progress
from neuva import NeuvaError, atomic_path, make_folder

KEY, RESULT = "key", "result.json"


@dataclass(frozen=True)
class Finished:
    """A job that is done. key: a hash of what it was made from. seconds: it took. result: what it gave, as JSON."""

    key: str
    seconds: float
    result: dict[str, Any]


def do(job: Job, key: str, folder: Path, progress: Progress) -> Finished:
    """Do a job in one thread, so that it gives the same result beside others as alone.

    What is in the folder is removed if it was begun with another key; else the job may go on from it.

    Raises:
        NeuvaError: if it fails or gives what is no JSON; the message names it.
    """
    _begin(folder, key)
    started = time.perf_counter()
    try:
        with _one_thread():
            result = job.run(folder, progress)
    except NeuvaError as error:
        raise NeuvaError(f"job {job.name}: {error}") from error
    except Exception as error:
        error.add_note(f"while doing job {job.name}")
        raise
    try:
        plain = json.loads(json.dumps(result, allow_nan=False))  # as one who reads it later finds it
    except (TypeError, ValueError) as error:
        raise NeuvaError(f"job {job.name}: its result is no JSON ({error}): give None for what is undefined") from error
    return Finished(key, time.perf_counter() - started, plain)


def keep(folder: Path, finished: Finished) -> None:
    """Write down a finished job."""
    with atomic_path(folder / RESULT) as temporary:
        temporary.write_text(json.dumps(vars(finished), indent=2))


def finished_before(folder: Path, key: str) -> Finished | None:
    """A finished job of that key; None where there is none, or its file is damaged."""
    try:
        finished = Finished(**json.loads((folder / RESULT).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return finished if finished.key == key else None


def _begin(folder: Path, key: str) -> None:
    begun = folder / KEY
    if not begun.is_file() or begun.read_text() != key:
        if folder.is_dir():
            shutil.rmtree(folder)
        make_folder(folder)
        with atomic_path(begun) as temporary:
            temporary.write_text(key)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
