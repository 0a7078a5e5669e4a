"""`neuva events`: look at and convert event files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from experiments.commands.options import Json, console, keep_inputs, print_json, progress
from neuva import NeuvaError

if TYPE_CHECKING:
    from datasets.events import Events
    from datasets.files import EventStream

LONGEST_FILM_US = 600_000_000

app = typer.Typer(help="What is in an event file, as figures or a picture; another format.", no_args_is_help=True)
Sensor = Annotated[
    str | None,
    typer.Option(help="WIDTHxHEIGHT, where a file does not tell it; must agree where it does."),
]
Repair = Annotated[
    bool,
    typer.Option("--repair", help="Drop and sort bad events, keep what stands before damage, and say how many."),
]


@app.command()
def info(
    files: Annotated[list[Path], typer.Argument(help="Event files.")],
    json: Json = False,
    sensor: Sensor = None,
    repair: Repair = False,
) -> None:
    """Format, count, span, sensor and rates of event files of any length.

    Example: `neuva events info recording.aedat4`
    """
    from datasets.files import describe

    described = {}
    for file in files:
        with _watched(file, sensor, repair) as stream:
            described[str(file)] = asdict(describe(stream))
    if json:
        print_json(described)
        return
    for file_name, figures in described.items():
        console.print(file_name, markup=False)
        table = Table(show_header=False, box=None, padding=(0, 2))
        for label, text in _rows(figures):
            table.add_row(label, text)
        console.print(table)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="Event file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Picture (default: FILE.png).")] = None,
    video: Annotated[Path | None, typer.Option(help="A film in real time instead (.mp4 or .gif).")] = None,
    start: Annotated[float, typer.Option(help="Seconds after the first event.")] = 0.0,
    length: Annotated[float | None, typer.Option(help="Seconds shown (default: all).")] = None,
    sensor: Sensor = None,
    repair: Repair = False,
) -> None:
    """A picture of the events, ON and OFF in two colours, at six moments; or a film.

    Example: `neuva events show recording.aedat4 -o recording.png`
    """
    from datasets.pictures import write_animation
    from experiments.sheet import events_sheet

    path = video or out or Path(file.name).with_suffix(".png")
    keep_inputs(path, file)
    with _watched(file, sensor, repair) as stream:
        events, first, last = _cut(stream, start, length)
    if video is None:
        events_sheet(events, first, last, file.name, path)
    elif last - first > LONGEST_FILM_US:
        raise NeuvaError(
            f"{file}: {(last - first) / 1e6:.0f} s, allowed in a film {LONGEST_FILM_US / 1e6:.0f}: give --length"
        )
    else:
        write_animation(path, events)
    console.print(str(path))


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="Event file.")],
    out: Annotated[Path, typer.Argument(help="Where it goes; its suffix tells the format: .aedat4, .raw, .h5, ...")],
    format: Annotated[  # noqa: A002  the option's name
        str | None,
        typer.Option(help="Format by name, where a suffix has several: EVT2, EVT2.1 or EVT3 (the default) for .raw."),
    ] = None,
    sensor: Sensor = None,
    repair: Repair = False,
) -> None:
    """Write a recording of any length in another format.

    Example: `neuva events convert recording.aedat4 recording.raw --format EVT2`
    """
    from datasets.files import write_events

    keep_inputs(out, file)
    with _watched(file, sensor, repair) as stream:
        count = write_events(out, stream, format=format)
    console.print(f"{out}: {count} events")


@contextmanager
def _watched(file: Path, sensor: str | None, repair: bool) -> Iterator[EventStream]:
    """The events of a file, and a bar of how many have been read."""
    from datasets.files import stream_events
    from experiments.watching import WatchedStream

    said = logging.getLogger("datasets.files")
    if repair and not said.isEnabledFor(logging.WARNING):
        said.setLevel(logging.WARNING)  # what was mended is said without -v too
    stream = stream_events(file, sensor_size=sensor_size(sensor), repair=repair)
    with progress(file.name, unit="events") as update:
        yield WatchedStream(stream, lambda done: update(done, None))


def _cut(stream: EventStream, start: float, length: float | None) -> tuple[Events, int, int]:
    """The events from `start` seconds after the first one on, and the times (us) between which they lie."""
    import numpy as np

    from datasets.events import EVENT_DTYPE, Events

    kept = [np.empty(0, EVENT_DTYPE)]
    first = stop = last = None
    for piece in stream:
        if first is None:
            first = piece.t0 + round(start * 1e6)
            stop = None if length is None else first + round(length * 1e6)
        if stop is not None and piece.t0 >= stop:
            break
        last = piece.t1
        kept.append(piece.between(first, last + 1 if stop is None else stop).array)
    if first is None or last is None:
        raise NeuvaError(f"{stream.path}: holds no events: there is nothing to show")
    end = last + 1 if stop is None else stop
    if not first < end or first > last:
        raise NeuvaError(
            f"{stream.path}: nothing lies at {start} s: its events end {(last - first) / 1e6 + start:.3f} s on"
        )
    return Events(np.concatenate(kept), stream.sensor_size), first, end


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
    if f["format"] is not None:
        yield "format", f["format"]
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
