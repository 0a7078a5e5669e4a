"""`neuva bench`: speed, side by side with the peers that are installed."""

from __future__ import annotations

from dataclasses import asdict
from importlib import import_module
from typing import Annotated

import typer
from rich.table import Table as Grid

from experiments.benchmarks.measure import Benchmark, Cell, Table
from experiments.commands.options import Json, console, print_json, progress
from neuva import NeuvaError

NAMES = {
    "simulator": "video to events: frames/s by motion and threads",
    "interpolation": "sub-frames of the simulator against a scene whose motion is known",
    "decode": "reading event files: events/s, beside faery, aedat, expelliarmus, dv-processing, tonic",
    "representations": "events to tensors: events/s, beside Tonic",
    "loihi": "the Loihi emulator: time a step, beside Lava, by activity, size and threads",
    "speck": "Speck's emulators: synaptic operations/s, beside sinabs' clocked simulation",
    "training": "a training step: time and memory, beside the peers and the bare convolutions",
}


def bench(
    name: Annotated[str, typer.Argument(help="; ".join(f"{name}: {what}" for name, what in NAMES.items()) + ".")],
    json: Json = False,
) -> None:
    """Measure speed beside the peers that are installed; ratios, as absolute times depend on the machine.

    Example: `neuva bench decode`
    """
    if name not in NAMES:
        raise NeuvaError(f'benchmark "{name}" is not known: choose one of {", ".join(NAMES)}')
    with progress(f"bench {name}", unit="measurements") as update:
        found: Benchmark = import_module(f"experiments.benchmarks.{name}").run(update)
    if json:
        print_json(asdict(found))
        return
    for table in found.tables:
        console.print(_grid(table))
        for note in table.notes:
            console.print(f"  {note}", markup=False)
    console.print(f"measured on: {found.machine}", markup=False)


def _grid(table: Table) -> Grid:
    grid = Grid(title=table.title, title_justify="left")
    for number, column in enumerate(table.columns):
        grid.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in table.rows:
        grid.add_row(*(_text(cell) for cell in row))
    return grid


def _text(cell: Cell) -> str:
    if cell is None or isinstance(cell, str):
        return "-" if cell is None else cell
    return f"{cell:,.0f}" if isinstance(cell, int) or cell >= 1000 else f"{cell:.3g}"
