"""`neuva events`: look at and convert event files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from experiments.commands.options import Json, console, print_json
from neuva import NeuvaError

app = typer.Typer(help="What is in an event file, as figures or a picture; another format.", no_args_is_help=True)
Sensor = Annotated[
    str | None,
    typer.Option(help="WIDTHxHEIGHT, where a file does not tell it; must agree where it does."),
]
Repair = Annotated[bool, typer.Option("--repair", help="Sort and drop events that break the rules, and say how many.")]


@app.command()
def info(
    files: Annotated[list[Path], typer.Argument(help="Event files.")],
    json: Json = False,
    sensor: Sensor = None,
    repair: Repair = False,
) -> None:
    """Count, span, sensor and rates of event files.

    Example: `neuva events info recording.aedat4`
    """
    from datasets.files import describe, read_events

    size = sensor_size(sensor)
    described = {str(file): asdict(describe(read_events(file, sensor_size=size, repair=repair))) for file in files}
    if json:
        print_json(described)
        return
    for file, figures in described.items():
        console.print(file, markup=False)
        table = Table(show_header=False, box=None, padding=(0, 2))
        for label, text in _rows(figures):
            table.add_row(label, text)
        console.print(table)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="Event file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Picture (default: FILE.png).")] = None,
    start: Annotated[float, typer.Option(help="Seconds after the first event.")] = 0.0,
    length: Annotated[float | None, typer.Option(help="Seconds shown (default: all).")] = None,
    sensor: Sensor = None,
    repair: Repair = False,
) -> None:
    """A picture of the events: ON and OFF in two colours, at six moments.

    Example: `neuva events show recording.aedat4 -o recording.png`
    """
    from datasets.files import read_events
    from experiments.sheet import events_sheet

    events = read_events(file, sensor_size=sensor_size(sensor), repair=repair)
    if not len(events):
        raise NeuvaError(f"{file}: holds no events: there is nothing to show")
    first = events.t0 + round(start * 1e6)
    last = events.t1 + 1 if length is None else first + round(length * 1e6)
    if not first < last or first > events.t1:
        raise NeuvaError(f"{file}: lasts {(events.t1 - events.t0) / 1e6:.3f} s; nothing lies at {start} s")
    path = out or Path(file.name).with_suffix(".png")
    events_sheet(events, first, last, file.name, path)
    console.print(str(path))


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="Event file.")],
    out: Annotated[Path, typer.Argument(help="Where it goes: .npz or .h5.")],
    sensor: Sensor = None,
    repair: Repair = False,
) -> None:
    """Write a recording in another format.

    Example: `neuva events convert recording.aedat4 recording.npz`
    """
    from datasets.files import read_events, write_events

    events = read_events(file, sensor_size=sensor_size(sensor), repair=repair)
    write_events(out, events)
    console.print(f"{out}: {len(events)} events")


def sensor_size(text: str | None) -> tuple[int, int] | None:
    """WIDTHxHEIGHT as numbers.

    Raises:
        NeuvaError: if it is something else.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        raise NeuvaError(f'--sensor "{text}": give WIDTHxHEIGHT in pixels, such as 346x260')
    return int(sides[0]), int(sides[1])


def _rows(f: dict[str, Any]) -> Iterator[tuple[str, str]]:
    width, height = f["sensor_size"]
    yield "events", f"{f['count']:,}"
    yield "sensor", f"{width}x{height}"
    if f["count"]:
        yield "time", f"{f['start_us']} to {f['stop_us']} us ({f['duration_us'] / 1e6:.6f} s)"
    for label, key, unit in (
        ("share ON", "on_share", ""),
        ("rate", "rate", " events/s"),
        ("rate a pixel", "rate_per_pixel", " events/s"),
        ("pixels active", "active_share", ""),
        ("between a pixel's events", "median_interval_us", " us (median)"),
    ):
        yield label, "undefined" if f[key] is None else f"{f[key]:,.4g}{unit}"
