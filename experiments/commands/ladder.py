"""`neuva ladder`: all sizes and targets in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from experiments.commands.options import Json, console, print_json, progress


def ladder(
    store: Annotated[Path, typer.Argument(help="HDF5 store they were trained on.")],
    out: Annotated[Path, typer.Option(help="Folder for ladder.csv, ladder.md and the chip programs.")] = Path(
        "runs/ladder"
    ),
    runs: Annotated[Path, typer.Option(help="Folder of the trained networks, one folder each.")] = Path("runs"),
    split: Annotated[str, typer.Option(help="Which split of the store.")] = "test",
    json: Json = False,
) -> None:
    """Every size of network for every chip beside the yardstick: CCC, parameters, operations, 90 % region.

    It trains nothing: networks that are missing are named with the command that trains them.

    Example: `neuva ladder runs/faces-large.h5 --out runs/ladder`
    """
    from dataclasses import asdict

    from experiments.ladder import HEADINGS, NOTE, cells, climb

    with progress("evaluating") as update:
        found = climb(store, runs, out, split, update)
    csv, markdown = found.save(out)
    if json:
        print_json(asdict(found))
        return
    if found.rows:
        table = Table(title=f"split {split} of {store}")
        table.add_column(HEADINGS[0], no_wrap=True)
        for heading in HEADINGS[1:]:
            table.add_column(heading, justify="right")
        for row in found.rows:
            table.add_row(*cells(row))
        console.print(table)
        console.print(NOTE, markup=False)
    for command in found.missing:
        console.print(f"not trained: {command}", markup=False, soft_wrap=True)
    console.print(f"{csv}, {markdown}", markup=False, soft_wrap=True)
