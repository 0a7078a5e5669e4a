"""A study that does nothing much, for the tests of what runs studies."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datasets.events import EVENT_DTYPE, Events
from datasets.sample import Sample
from datasets.store import StoreWriter
from experiments.config import Model
from experiments.studies.study import Inputs, Job, Picture, Progress, Results, Study, Table
from neuva import NeuvaError

PNG = b"\x89PNG\r\n\x1a\n a made-up picture"


class FakeConfig(Model):
    jobs: int = 3
    seed: int = 7
    weights: Path | None = None
    refuse: str = ""
    give: float | None = 0.5
    spoilt: bool = False
    stop: str = ""
    """While a file of that name is there, job 1 does not end."""


def work(folder: Path, progress: Progress, *, number: int, config: FakeConfig) -> dict[str, Any]:
    with (folder / "times").open("a") as file:  # how often it was done, in this folder
        file.write(f"{os.getpid()}\n")
    progress("working", 1, 2)
    while number == 1 and config.stop and Path(config.stop).exists():
        time.sleep(0.02)
    if f"job{number}" in config.refuse.split():
        raise NeuvaError("not with me: try another")
    if config.refuse == f"fault{number}":
        raise ZeroDivisionError("a fault")
    score = None if config.give is None else number * config.give
    return {"score": float("nan") if config.spoilt else score, "process": os.getpid()}


def together(folder: Path, progress: Progress, *, files: Sequence[Path]) -> dict[str, Any]:
    return {"score": float(sum(len(file.read_text()) > 0 for file in files))}


def stages(config: FakeConfig, inputs: Inputs) -> list[list[Job]]:
    names = [f"job{number}" for number in range(config.jobs)]
    first = [Job(name, partial(work, number=number, config=config)) for number, name in enumerate(names)]
    return [first, [Job("together", partial(together, files=[inputs.of_job(name) / "times" for name in names]))]]


def tables(config: FakeConfig, results: Results) -> list[Table]:
    rows = tuple((name, found["score"], len(name)) for name, found in results.items())
    return [Table("scores", "Scores", ("job", "score", "letters"), rows, "made up", best={"score": "larger"})]


def pictures(config: FakeConfig, inputs: Inputs, results: Results) -> list[Picture]:
    path = inputs.out / "pictures" / "one.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(PNG)
    return [Picture(path, "synthetic: nothing <to> see")]


def check(config: FakeConfig, inputs: Inputs) -> None:
    if config.jobs == 0:
        raise NeuvaError("there are no frames: make the store again")


FAKE = Study(
    name="seen",  # so that it has published tables
    what="fakes",
    paper="nowhere",
    data={"see": "seen.yaml", "fake-eyes": "seen-eyes.yaml"},
    config=FakeConfig,
    check=check,
    stages=stages,
    tables=tables,
    pictures=pictures,
    extra={"more": "another store"},
)


def write_fake(path: Path, dataset: str = "fake-eyes", synthetic: bool = True) -> Path:
    with StoreWriter(path, dataset=dataset, sensor_size=(4, 4), provenance={}) as store:
        empty = Events(np.empty(0, EVENT_DTYPE), (4, 4))
        nothing = np.empty(0, np.int64), np.empty((0, 2), np.float32), np.empty(0, bool)
        store.add("one", "train", Sample(empty, *nothing, {"synthetic": synthetic}))
    return path
