"""What a study is: a configuration, jobs that can be done apart, and tables and pictures of their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from experiments.config import Model

Cell = str | float | int | None
Results = Mapping[str, Mapping[str, Any]]
"""What each finished job gave, by the job's name."""

Progress = Callable[[str, int, int], None]
"""Told (what is being done, done, of how many)."""


class Run(Protocol):
    """The work of a job; a `functools.partial` of a module's function, so that it can be sent to another process."""

    def __call__(self, folder: Path, progress: Progress) -> dict[str, Any]:
        """Do it all, keep files (checkpoints, estimates) in `folder`, give what can be written as JSON."""


@dataclass(frozen=True)
class Job:
    """One piece of a study, done whole or done again: a network trained and scored on a fold, say.

    name: unique in the study, fit for a folder's name ("resnet18-fold0"). run: the same job gives the same result.
    extra: the further stores it hangs on; it is done anew if one of them, or what every job hangs on, has changed.
    """

    name: str
    run: Run
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Rows of figures, under headings.

    name: of its files (name.csv). title: what it shows. note: what a reader must know of its protocol.
    origin: "measured" here, or "published" by others; the two never share a table. A cell of None is shown as "-".
    data: what a measured one was measured on, where it is not the study's store.
    best: whether a larger or a smaller value of a heading is better; the best of such a column is shown bold.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    origin: Literal["measured", "published"] = "measured"
    best: Mapping[str, Literal["larger", "smaller"]] | None = None
    data: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture a study has drawn: its file in the study's folder, and what is seen on it."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Inputs:
    """What a study works on.

    store: of the data set. out: the study's folder; job `name` keeps its files in ``out / "jobs" / name``, where the
    jobs of later stages find them. extra: further stores by their option's name ("nefer").
    """

    store: Path
    out: Path
    extra: Mapping[str, Path]

    def of_job(self, name: str) -> Path:
        """The folder of a job's files."""
        return self.out / "jobs" / name


@dataclass(frozen=True)
class Study:
    """One published system, or another question, answered by one command.

    name: of the command. what: it shows, in a line. paper: its source. data: names of the data sets it takes
    (`EventStore.dataset`), each with the configuration, a file of experiments/configs/studies, that is used unless
    another is named. config: the model of that file. stages: jobs in an order: those of one stage may run side by
    side, the next stage begins when all are done. tables, pictures: of the results so far.
    extra: options that name further stores, and what each is for.
    check: refuses a store that lacks something (no sound, no frames), before anything runs.
    """

    name: str
    what: str
    paper: str
    data: Mapping[str, str]
    config: type[Model]
    check: Callable[[Any, Inputs], None]
    stages: Callable[[Any, Inputs], Sequence[Sequence[Job]]]
    tables: Callable[[Any, Results], Sequence[Table]]
    pictures: Callable[[Any, Inputs, Results], Sequence[Picture]]
    extra: Mapping[str, str]
