"""Options that several commands share, and how they show progress and figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from neuva import NeuvaError

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Program = Annotated[Path, typer.Argument(help="Chip program (.h5) made by `neuva convert`.")]

console = Console(highlight=False)
progress_console = Console(stderr=True, highlight=False)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g} {task.fields['unit']}/s")


@contextmanager
def progress(label: str, unit: str = "clips") -> Iterator[Any]:
    """A bar with rate and time left on standard error; gives a function (done, total) or (label, done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=progress_console, transient=True, disable=not progress_console.is_terminal) as bar:
        task = bar.add_task(label, total=None, unit=unit)

        def update(*args: Any) -> None:
            description, done, total = args if len(args) == 3 else (label, *args)
            if bar.tasks[0].description != description:
                bar.reset(task, description=description, unit=unit)
            bar.update(task, completed=done, total=total)

        yield update


@contextmanager
def stoppable(goes_on: str) -> Iterator[None]:
    """Say on Ctrl-C how to go on, and exit with 130 as a stopped command does."""
    try:
        yield
    except KeyboardInterrupt as error:
        progress_console.print(f"stopped; {goes_on}", markup=False)
        raise typer.Exit(130) from error


def keep_inputs(out: Path | None, *inputs: Path) -> None:
    """Refuse to write over what is read.

    Raises:
        NeuvaError: if `out` is one of the inputs, by whatever path.
    """
    if out is not None and any(out.resolve() == each.resolve() for each in inputs):
        raise NeuvaError(f"{out}: is the command's own input: give the output another name")


def require_h5(out: Path, what: str) -> None:
    """Refuse to write HDF5 under another format's name.

    Raises:
        NeuvaError: if `out` has another suffix.
    """
    if out.suffix != ".h5":
        raise NeuvaError(f"{out}: {what} is an .h5 file: name it {out.with_suffix('.h5').name}")


def print_json(values: Any) -> None:
    """JSON on standard output, nothing else."""
    typer.echo(json.dumps(values, indent=2))
