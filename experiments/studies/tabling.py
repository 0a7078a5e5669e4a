"""Tables as text: how a cell is shown, which is best, and a table as CSV and Markdown."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from decimal import Decimal

from experiments.studies.study import Cell, Table

ABSENT = "-"
MOST = 9
"""Decimals of what is measured: what is smaller is rounding."""


def shown(table: Table) -> list[list[str]]:
    """Every cell as text: a column's numbers have the same decimals.

    Of what is published, all that are printed there; of what is measured at most as many as show about three
    digits of the column's largest: 0.123, 12.3, 1,235.
    """
    columns = [_column(column, exact=table.origin == "published") for column in _columns(table)]
    return [list(row) for row in zip(*columns, strict=True)]


def best_rows(table: Table) -> dict[str, set[int]]:
    """The rows that hold the best number of each column that has one; several where they are equal, none if all are."""
    found = {}
    for heading, column in zip(table.headings, _columns(table), strict=True):
        numbers = {row: cell for row, cell in enumerate(column) if isinstance(cell, int | float)}
        if heading in (table.best or {}) and len(set(numbers.values())) > 1:
            wanted = (max if (table.best or {})[heading] == "larger" else min)(numbers.values())
            found[heading] = {row for row, cell in numbers.items() if cell == wanted}
    return found


def bold(table: Table) -> list[list[bool]]:
    """Whether each cell is the best of its column."""
    best = best_rows(table)
    return [[row in best.get(heading, ()) for heading in table.headings] for row in range(len(table.rows))]


def numeric(table: Table) -> list[bool]:
    """Whether each column holds numbers, none at all included, which stand to the right."""
    return [all(cell is None or _is_number(cell) for cell in column) for column in _columns(table)]


def to_csv(table: Table, data: str) -> str:
    """Headings and rows with all digits, each after `data`: what it was measured on; a cell of None is empty."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("data", *table.headings), *((data, *row) for row in table.rows)])
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """A heading, the table with the best in bold, and its note."""
    rows = [
        [f"**{text}**" if best else text for text, best in zip(texts, bests, strict=True)]
        for texts, bests in zip(shown(table), bold(table), strict=True)
    ]
    rule = ["---:" if right else "---" for right in numeric(table)]
    lines = [f"### {table.title} ({table.origin})", "", *map(_line, [table.headings, rule, *rows])]
    return "\n".join([*lines, *(["", table.note] if table.note else [])]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _columns(table: Table) -> list[tuple[Cell, ...]]:
    return [tuple(row[place] for row in table.rows) for place in range(len(table.headings))]


def _column(column: Sequence[Cell], exact: bool) -> list[str]:
    floats = [cell for cell in column if isinstance(cell, float)]
    decimals = max((_decimals(cell) for cell in floats), default=0)
    if not exact:
        largest = max(map(abs, floats), default=0.0)
        few = min(2 - math.floor(math.log10(largest)), MOST) if 0 < largest < 0.1 else 3 if largest <= 1 else 2
        decimals = min(decimals, few if largest < 10 else 1 if largest < 1000 else 0)
    return [_text(cell, decimals) for cell in column]


def _decimals(number: float) -> int:
    """As many as Python prints of it, an exponent written out."""
    exponent = Decimal(repr(float(number))).normalize().as_tuple().exponent
    return max(1, -int(exponent))


def _text(cell: Cell, decimals: int) -> str:
    if cell is None:
        return ABSENT
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:,.{decimals}f}"


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float)
