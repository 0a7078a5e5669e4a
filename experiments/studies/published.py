"""Figures that others have published, each table with its source; they never share a table with ours."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from experiments.config import Model
from experiments.studies.study import Cell, Table

PUBLISHED = Path(__file__).with_suffix(".yaml")

KINDS = {"printed": "as printed there", "derived": "counted or computed from what the authors released"}


class PublishedTable(Model):
    """One table. kind: printed by the source, or derived from files that it released."""

    name: str
    title: str
    source: str
    kind: Literal["printed", "derived"]
    note: str = ""
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    best: dict[str, Literal["larger", "smaller"]] | None = None


class PublishedStudy(Model):
    """What is known of one system: remarks, and tables."""

    notes: tuple[str, ...] = ()
    tables: tuple[PublishedTable, ...] = ()


@cache
def _all() -> dict[str, PublishedStudy]:
    values = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    return {name: PublishedStudy.model_validate(value) for name, value in values.items()}


def published_tables(study: str) -> tuple[Table, ...]:
    """The published tables of a study; their notes begin with the source."""
    return tuple(
        Table(
            name=f"published-{each.name}",
            title=each.title,
            headings=each.headings,
            rows=each.rows,
            note=f"Source: {each.source}, {KINDS[each.kind]}. {each.note}".strip(),
            origin="published",
            best=each.best,
        )
        for each in _all().get(study, PublishedStudy()).tables
    )


def published_notes(study: str) -> tuple[str, ...]:
    """What a reader must know of the published figures, and of those that are missing."""
    return _all().get(study, PublishedStudy()).notes
