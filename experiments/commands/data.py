"""`neuva data`: stores of clips."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from datasets.catalogue import CATALOGUE, flag, recipe_of
from experiments.commands.events import Repair, sensor_size
from experiments.commands.options import Json, console, print_json, progress, stoppable
from experiments.units import counted
from neuva import NeuvaError

if TYPE_CHECKING:
    from datasets.store import StoreSummary

app = typer.Typer(help="Make a data set's store, and look at one.", no_args_is_help=True)

LONGEST = 100
"""Characters of a value of the provenance that are shown; all of it is in --json."""

ELSEWHERE = ("notes", "left_out")
"""What of the provenance is told in words of its own."""


@app.command()
def make(
    name: Annotated[str, typer.Argument(help=f"{', '.join(CATALOGUE)}: see `neuva data list`.")],
    out: Annotated[Path, typer.Option(help="HDF5 store to write.")],
    root: Annotated[Path | None, typer.Option(help="The data set's folder.")] = None,
    size: Annotated[str | None, typer.Option(help="synthetic...: default or smallest; synthetic: large too.")] = None,
    split: Annotated[str | None, typer.Option(help="see: disjoint (by volunteer) or official.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="nefer: expected or reported; folder: a CSV table, if not labels.csv in it.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="afew-va: the simulator's pixels.")] = None,
    interpolate: Annotated[str | None, typer.Option(help="afew-va: none, linear or flow between frames.")] = None,
    fps: Annotated[float | None, typer.Option(help="afew-va: frames a second.")] = None,
    clock: Annotated[str | None, typer.Option(help="folder: recording, or start of each file.")] = None,
    face: Annotated[str | None, typer.Option(help="folder: activity or whole.")] = None,
    sensor: Annotated[
        str | None, typer.Option("--sensor-size", "--sensor", help="folder: WIDTHxHEIGHT where files do not tell it.")
    ] = None,
    rescale: Annotated[str | None, typer.Option("--rescale-to", help="folder: WIDTHxHEIGHT of the store.")] = None,
    repair: Repair = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Of splits, faces and noise.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes on this machine (2).")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask cluster that exists (tcp://host:8786) in place of own workers.")
    ] = None,
) -> None:
    """Make a store: clips, events, labels. A stopped run goes on.

    Example: `neuva data make synthetic --out runs/faces.h5`

    Example: `neuva data make afew-va --root AFEW-VA --out afew-va.h5 --interpolate flow --workers 4`

    Example: `neuva data make folder --root recordings --out mine.h5 --scheduler tcp://127.0.0.1:8786`
    """
    if scheduler is not None and workers is not None:
        raise NeuvaError("the cluster of --scheduler has workers of its own: leave out --workers")
    given: dict[str, Any] = {
        "size": size,
        "split": split,
        "labels": labels,
        "preset": preset,
        "interpolate": interpolate,
        "fps": fps,
        "clock": clock,
        "face": face,
        "sensor_size": _size(sensor, "--sensor-size"),
        "rescale_to": _size(rescale, "--rescale-to"),
        "repair": repair or None,
        "seed": seed,
    }
    with stoppable("the same command goes on from here"):
        from datasets.making import make_store
        from datasets.store import EventStore, summarize

        recipe = recipe_of(name, root, {option: value for option, value in given.items() if value is not None})
        with progress(f"making {name}") as update:
            make_store(out, recipe, workers=workers or 2, scheduler=scheduler, progress=update)
        made = summarize(EventStore(out))
    console.print(f"{out}: {_headline(made)}", markup=False)
    _print_notes(made)


@app.command("list")
def list_all(json: Json = False) -> None:
    """The data sets, what each needs and the options it takes.

    Example: `neuva data list`
    """
    if json:
        print_json({name: asdict(entry) for name, entry in CATALOGUE.items()})
        return
    for name, entry in CATALOGUE.items():
        console.print(f"{name}: {entry.what}", markup=False)
        table = Table(show_header=False, box=None)
        table.add_row("  --root", entry.root or "not needed")
        table.add_row("  splits", entry.splits)
        for option, what in entry.options.items():
            table.add_row(f"  {flag(option)}", what)
        console.print(table)


@app.command()
def info(
    store: Annotated[Path, typer.Argument(help="A store.")],
    json: Json = False,
) -> None:
    """What is in a store: clips, people, events and labels of each split, and how it was made.

    Example: `neuva data info runs/faces.h5`
    """
    from datasets.store import EventStore, summarize

    found = summarize(EventStore(store))
    if json:
        print_json(asdict(found))
        return
    console.print(f"{store}: {found.dataset}, {found.sensor_size[0]}x{found.sensor_size[1]}, {_headline(found)}")
    console.print(_split_table(found))
    console.print(_sharing(found))
    if not found.events:
        for name, (shape, kind) in found.arrays.items():
            console.print(f"  array {name} of the first clip: {'x'.join(map(str, shape))} {kind}", markup=False)
    for key, value in found.provenance.items():
        if key not in ELSEWHERE and (text := _words(value)):
            console.print(f"  {key}: {_cut(text)}", markup=False)
    _print_notes(found)


@app.command()
def show(
    store: Annotated[Path | None, typer.Argument(help="A store; without one, the embedded faces themselves.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write.")] = Path("sheet.png"),
) -> None:
    """A contact sheet: the embedded faces' identities and expressions, or a store's clips with their events.

    Of a store without events (aff-wild2, synthetic-videos) it shows the faces of some clips at several moments.

    Example: `neuva data show -o faces.png`
    """
    from datasets.faces import write_contact_sheet
    from experiments.sheet import store_sheet

    if store is None:
        write_contact_sheet(out, list(range(8)))
    else:
        store_sheet(store, out)
    console.print(str(out))


def _size(text: str | None, option: str) -> tuple[int, int] | None:
    try:
        return sensor_size(text)
    except NeuvaError as error:
        raise NeuvaError(str(error).replace("--sensor", option)) from error


def _headline(found: StoreSummary) -> str:
    each = "" if found.bytes_per_event is None else f" ({found.bytes_per_event:.2f} bytes each)"
    return f"{counted(found.clips, 'clip')}, {counted(found.events, 'event')}{each}, {found.size / 1e6:.1f} MB in all"


def _words(value: Any) -> str:
    """A value of the provenance as a person writes it; nothing where it is empty."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_member(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_member, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _member(value: Any) -> str:
    inner = _words(value) or "none"
    return f"({inner})" if isinstance(value, dict | list) else inner


def _cut(text: str) -> str:
    """What is too long, up to a comma."""
    if len(text) <= LONGEST:
        return text
    kept, comma, _ = text[:LONGEST].rpartition(", ")
    return f"{kept}{comma}..." if comma else f"{text[:LONGEST]} ..."


def _print_notes(found: StoreSummary) -> None:
    for note in found.notes:
        console.print(f"  note: {note}", markup=False)
    if left_out := found.provenance.get("left_out"):
        console.print(f"  left out: {len(left_out)}, the first {next(iter(left_out))}", markup=False)


def _split_table(found: StoreSummary) -> Table:
    table = Table()
    for column in ("split", "clips", "people", "events", "labels", "valid", "valence", "arousal"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for name, split in found.splits.items():
        people = "?" if split.subjects is None else str(len(split.subjects))
        counts = (split.clips, people, f"{split.events:,}", f"{split.labels:,}", f"{split.valid:,}")
        table.add_row(name, *map(str, counts), _range(split.valence), _range(split.arousal))
    return table


def _range(figures: dict[str, float] | None) -> str:
    if figures is None:
        return "-"
    return f"{figures['mean']:+.2f} ± {figures['std']:.2f} ({figures['min']:+.2f} to {figures['max']:+.2f})"


def _sharing(found: StoreSummary) -> str:
    if found.shared_subjects is None:
        return "people: not told, so splits may share them"
    if not found.shared_subjects:
        return "people: no one is in two splits"
    return f"people: {len(found.shared_subjects)} are in more than one split, the first {found.shared_subjects[0]}"
