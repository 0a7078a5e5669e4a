"""What a study has given so far, with all that is needed to get it again, as one JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from experiments.studies.study import Table
from neuva import NeuvaError, atomic_path

FILE = "results.json"


@dataclass(frozen=True)
class Report:
    """A study's results so far.

    study, what, paper: as in `Study`. dataset: of the store. synthetic: whether its faces are drawn. stands_for: the
    data sets it then is no result on. configuration: all of it; seeds: those in it, by their path. stores: paths by
    option. hashes: SHA-256 of neuva's code, the configuration, and of each store's description and its
    file's name, size and time of last change. made_with: the versions, machine and
    device of the jobs done, more than one where they differ. seconds: each job took, None for those not done yet.
    tables: measured ones, then published ones. notes: on what is published. pictures: their files in the folder.
    """

    study: str
    what: str
    paper: str
    dataset: str
    synthetic: bool
    stands_for: Sequence[str]
    configuration: Mapping[str, Any]
    seeds: Mapping[str, Any]
    stores: Mapping[str, str]
    hashes: Mapping[str, str]
    made_with: Mapping[str, Sequence[str]]
    seconds: Mapping[str, float | None]
    tables: Sequence[Table]
    notes: Sequence[str]
    pictures: Sequence[str] = ()

    @property
    def banner(self) -> str:
        """What must stand above every figure measured on drawn faces; "" where they are filmed."""
        if not self.synthetic:
            return ""
        return f"Synthetic faces, drawn by neuva: nothing measured here is a result on {' or '.join(self.stands_for)}."

    @property
    def data(self) -> str:
        """The data set of what is measured, and whether it is drawn, for each line of a table."""
        return f"{self.dataset} (drawn)" if self.synthetic else self.dataset

    @property
    def mixture(self) -> str:
        """That jobs were not all made alike; "" where they were."""
        found = [f"{name} {' and '.join(values)}" for name, values in self.made_with.items() if len(values) > 1]
        return f"Jobs were made with more than one of: {'; '.join(found)}. Figures may differ by that." if found else ""

    @property
    def progress(self) -> str:
        """How far it has come."""
        done = [seconds for seconds in self.seconds.values() if seconds is not None]
        if len(done) < len(self.seconds):
            return f"{len(done)} of {len(self.seconds)} jobs done: not finished"
        return f"{len(done)} jobs, {sum(done):,.0f} s of one thread"

    def of(self, origin: str) -> list[Table]:
        """The tables that are "measured" here, or "published" by others."""
        return [table for table in self.tables if table.origin == origin]

    def with_jobs(
        self,
        seconds: Mapping[str, float | None],
        made_with: Sequence[Mapping[str, str]],
        tables: Sequence[Table],
    ) -> Report:
        """The same study with what its jobs have given, and what each was made with.

        Raises:
            NeuvaError: if two tables are called the same, or a number in one is not finite.
        """
        names = [table.name for table in tables]
        if len(set(names)) < len(names):
            raise NeuvaError(f"study {self.study}: tables {', '.join(names)}: two have one name; rename one")
        for table in tables:
            _require_finite(table)
        values = {name: sorted({each[name] for each in made_with}) for each in made_with[:1] for name in each}
        return replace(self, seconds=dict(seconds), made_with=values, tables=tuple(tables))

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-plain."""
        return {**asdict(self), "banner": self.banner, "mixture": self.mixture, "progress": self.progress}

    def with_pictures(self, names: Sequence[str]) -> Report:
        """The same study, with the files of its pictures."""
        return replace(self, pictures=tuple(names))

    def save(self, folder: Path) -> None:
        """Write it into the study's folder."""
        with atomic_path(folder / FILE) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2, allow_nan=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Report:
        """Read what `save` wrote.

        Raises:
            NeuvaError: if there is none, or it is damaged.
        """
        try:
            values = json.loads((folder / FILE).read_text(encoding="utf-8"))
            fields = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
            tables = [
                Table(**{**table, "headings": tuple(table["headings"]), "rows": tuple(map(tuple, table["rows"]))})
                for table in fields["tables"]
            ]
            return cls(**{**fields, "tables": tables})
        except FileNotFoundError as error:
            raise NeuvaError(f"{folder}: no results of a study there: run one, see `neuva study list`") from error
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise NeuvaError(
                f"{folder / FILE}: no results of a study ({error!r}): remove it and run the study again"
            ) from error


def _require_finite(table: Table) -> None:
    for row in table.rows:
        for heading, cell in zip(table.headings, row, strict=True):
            if isinstance(cell, float) and not math.isfinite(cell):
                raise NeuvaError(f"table {table.name}, {row[0]}, {heading}: {cell}: give None for what is undefined")
