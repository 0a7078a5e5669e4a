"""`neuva study`: published systems, each run whole by one command."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Grid
from rich.text import Text

from experiments.commands.options import Json, console, print_json, progress_console, stoppable
from experiments.studies.catalogue import CONFIGS, STUDIES, Entry, study_called
from neuva import NeuvaError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from experiments.studies.results import Report
    from experiments.studies.study import Table

RUNS = Path("runs")

app = typer.Typer(
    help="Published systems, each run whole by one command; see `neuva study list`.", no_args_is_help=True
)


def _command(name: str, entry: Entry) -> Callable[..., None]:
    """The command of one study; its further stores are options of it alone."""

    def command(
        data: Annotated[Path, typer.Option(help="HDF5 store of a data set it takes.")],
        config: Annotated[
            Path | None, typer.Option(help="Configuration (default: that of the store's data set).")
        ] = None,
        out: Annotated[Path | None, typer.Option(help="Folder of the results (default: runs/CONFIG's name).")] = None,
        workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
        scheduler: Annotated[
            str | None, typer.Option(help="A Dask cluster that exists (tcp://host:8786) in place of own workers.")
        ] = None,
        again: Annotated[
            bool, typer.Option("--again", help="Do anew what the folder holds of other data, settings or code.")
        ] = False,
        **extra: Path | None,
    ) -> None:
        given = {option: store for option, store in extra.items() if store is not None}
        _run(name, data, config, out, workers, scheduler, again, given)

    command.__doc__ = f"""{entry.what[0].upper()}{entry.what[1:]}. A stopped run goes on.

    Example: `neuva study {name} --data store.h5 --out runs/mine --workers 2`, then `neuva study show mine`
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[:-1]
    further = [
        inspect.Parameter(
            option,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[Path | None, typer.Option(help=f"{what[0].upper()}{what[1:]}.")],
        )
        for option, what in entry.extra.items()
    ]
    vars(command)["__signature__"] = inspect.Signature([*own, *further])
    command.__annotations__ = {each.name: each.annotation for each in (*own, *further)}
    return command


for _name, _entry in STUDIES.items():
    app.command(_name)(_command(_name, _entry))


@app.command("list")
def list_all(json: Json = False) -> None:
    """The studies: what each shows, its paper, the data sets it takes and their configurations.

    Example: `neuva study list`
    """
    from experiments.studies.stores import made_as

    found = {name: study_called(name) for name in STUDIES}
    if json:
        print_json(
            {
                name: {
                    "what": study.what,
                    "paper": study.paper,
                    "data": {dataset: str(CONFIGS / file) for dataset, file in study.data.items()},
                    "extra": dict(study.extra),
                }
                for name, study in found.items()
            }
        )
        return
    for name, study in found.items():
        console.print(f"{name}: {study.what}", markup=False)
        table = Grid(show_header=False, box=None)
        table.add_row("  paper", Text(study.paper))
        for dataset, file in study.data.items():
            made = f"store of `neuva data make {made_as(dataset)}`: experiments/configs/studies/{file}"
            table.add_row(f"  {dataset}", Text(made))
        for option, what in study.extra.items():
            table.add_row(f"  --{option}", Text(what))
        console.print(table)


@app.command()
def show(
    where: Annotated[str, typer.Argument(help="Folder of a study's results, or its name in runs.")],
    json: Json = False,
) -> None:
    """The tables of a study that is finished, or of what is finished of it.

    Example: `neuva study show seen-eyes`
    """
    from experiments.studies.results import FILE, Report

    folder = Path(where) if (Path(where) / FILE).exists() else RUNS / where
    report = Report.load(folder if folder.exists() else Path(where))
    if json:
        print_json(report.to_dict())
    else:
        _print(report)


def _run(
    name: str,
    data: Path,
    config: Path | None,
    out: Path | None,
    workers: int,
    scheduler: str | None,
    again: bool,
    extra: dict[str, Path],
) -> None:
    from experiments.config import read_config
    from experiments.studies.provenance import with_whole_paths
    from experiments.studies.runner import run
    from experiments.studies.stores import open_store
    from experiments.studies.study import Inputs

    if scheduler is not None and workers > 1:
        raise NeuvaError("the cluster of --scheduler has workers of its own: leave out --workers")
    study = study_called(name)
    chosen = config or CONFIGS / study.data[open_store(study, data).dataset]
    settings = with_whole_paths(read_config(chosen, study.config))
    folder = (out or RUNS / chosen.stem).resolve()
    stores = {option: path.resolve() for option, path in extra.items()}
    inputs = Inputs(data.resolve(), folder, stores)  # workers may run elsewhere
    with stoppable("the same command goes on from the finished jobs"), _bars() as update:
        report = run(study, settings, inputs, workers=workers, scheduler=scheduler, again=again, progress=update)
    _print(report)
    console.print(f"{folder / 'index.html'}", markup=False, soft_wrap=True)


@contextmanager
def _bars() -> Iterator[Callable[[str, str, int, int], None]]:
    """A bar for all jobs and one for each that runs; a line for each that fails, without a terminal also if done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, Any] = {}
    with Progress(*columns, console=progress_console, transient=True, disable=not progress_console.is_terminal) as bars:

        def update(job: str, what: str, done: int, total: int) -> None:
            if job and what in ("done", "failed"):
                if what == "failed" or not progress_console.is_terminal:
                    progress_console.print(f"{job}: {what}", markup=False)
                if job in tasks:
                    bars.remove_task(tasks.pop(job))
                return
            if job not in tasks:
                tasks[job] = bars.add_task("", total=None)
            bars.update(tasks[job], description=f"{job}: {what}" if job else what, completed=done, total=total)

        yield update


def _print(report: Report) -> None:
    console.print(f"{report.study}: {report.what}; {report.progress}", markup=False)
    if report.banner:
        console.print(report.banner, style="bold yellow", markup=False)
    if report.mixture:
        console.print(report.mixture, markup=False)
    for table in report.of("measured"):
        _print_table(table)
    for note in report.notes:
        console.print(f"published: {note}", markup=False)
    for table in report.of("published"):
        _print_table(table)


def _print_table(table: Table) -> None:
    from experiments.studies.tabling import bold, numeric, shown

    grid = Grid(title=Text(f"{table.title} ({table.origin})"), title_justify="left", title_style="bold")
    for heading, right in zip(table.headings, numeric(table), strict=True):
        grid.add_column(Text(heading), justify="right" if right else "left", overflow="fold")
    for texts, bests in zip(shown(table), bold(table), strict=True):
        cells = zip(texts, bests, strict=True)
        grid.add_row(*(Text(text, style="bold" if best else "") for text, best in cells))
    console.print(grid)
    if table.note:
        console.print(f"  {table.note}", markup=False)
