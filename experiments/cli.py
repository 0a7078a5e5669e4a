"""The command `neuva`."""

from __future__ import annotations

import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from experiments.commands import bench, chip, data, demo, energy, events, ladder, run, simulate, stress, study, train
from neuva import NeuvaError, __version__

UsageError: Any = typer.BadParameter.__base__  # of the Click that this Typer carries

app = typer.Typer(
    name="neuva",
    help="Valence and arousal from the events of a camera looking at a face, on neuromorphic chips.\n\n"
    "Start with `neuva demo`: it trains, converts, verifies and reports on embedded synthetic faces.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo.demo)
app.add_typer(events.app, name="events")
app.command(cls=simulate.ListsPresets)(simulate.simulate)
app.add_typer(data.app, name="data")
app.command()(train.train)
app.command()(train.evaluate)
app.command()(ladder.ladder)
app.command()(chip.convert)
app.command()(chip.check)
app.command()(run.run)
app.command()(chip.verify)
app.command()(energy.energy)
app.command()(stress.stress)
app.add_typer(study.app, name="study")
app.command()(bench.bench)


@app.callback(invoke_without_command=True)
def _common(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show the log.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"neuva {__version__}")
        raise typer.Exit
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(name)s: %(message)s")


def main() -> None:
    """Run the command line: a user's problem is one line on standard error and exit code 2."""
    if not sys.stdout.isatty():
        os.environ.setdefault("COLUMNS", "160")  # into a file or a pipe, tables are as wide as they need
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        _own_datasets()
        sys.exit(app(standalone_mode=False))
    except NeuvaError as error:
        problem = str(error).replace("repair=True", "--repair")  # here the library's argument is an option
    except UsageError as error:
        if not error.format_message():  # no arguments: help has been shown
            sys.exit(2)
        where = error.ctx.command_path if error.ctx else "neuva"
        problem = f"{error.format_message().rstrip('.')}: see {where} --help"
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    errors.print(f"neuva: {' '.join(problem.split())}", style="red", markup=False)
    sys.exit(2)


def _own_datasets() -> None:
    spec = find_spec("datasets")
    ours = Path(__file__).resolve().parents[1] / "datasets"
    if spec is None or spec.origin is None or Path(spec.origin).resolve().parent != ours:
        raise NeuvaError(
            f"the package `datasets` is {spec.origin if spec else 'missing'}, not neuva's: "
            "use neuva's own virtual environment (make demo)"
        )
