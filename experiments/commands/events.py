"""`neuva events`: look at and convert event files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from experiments.commands.options import Json, console, keep_inputs, print_json, progress
from experiments.units import counted
from neuva import NeuvaError

if TYPE_CHECKING:
    from datasets.events import Events
    from datasets.files import EventStream

LONGEST_FILM_US = 600_000_000
LARGEST_SENSOR = "32767x32767"  # so that no event of a file that does not tell its sensor lies outside

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

    Exits with 2 if one cannot be read; the others are shown all the same.

    Example: `neuva events info recording.aedat4`
    """
    described, problems = {}, []
    for file in files:
        try:
            figures = _described(file, sensor, repair)
        except NeuvaError as error:
            problems.append(str(error))
            continue
        described[str(file)] = figures
        if not json:
            _print_figures(file, figures)
    if json:
        print_json(described)
    if problems:
        raise NeuvaError("; ".join(problems))


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="Event file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Picture, a .png (default: FILE.png here).")] = None,
    video: Annotated[Path | None, typer.Option(help="A film in real time instead (.mp4 or .gif).")] = None,
    start: Annotated[float, typer.Option(min=0, help="Seconds after the first event.")] = 0.0,
    length: Annotated[float | None, typer.Option(help="Seconds shown, above 0 (default: all).")] = None,
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
    if video is None and path.suffix.lower() != ".png":
        raise NeuvaError(
            f"{path}: the picture is written as .png: name it so; for a film give --video FILE.mp4 or .gif"
        )
    if length is not None and length <= 0:
        raise NeuvaError(f"--length {length:g}: needed above 0 seconds: give a longer stretch, or leave it out for all")
    with _watched(file, sensor, repair) as stream:
        events, first, last = _cut(stream, start, length)
    if video is None:
        events_sheet(events, first, last, file.name, path, zero=first - round(start * 1e6))
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
    _require_suffix(out, format)
    with _watched(file, sensor, repair) as stream:
        count = write_events(out, stream, format=format)
    console.print(f"{out}: {counted(count, 'event')}")
    if not _tells_size(out):
        width, height = stream.sensor_size
        console.print(f"{out}: does not hold the sensor's size: give --sensor {width}x{height} when reading it")


def _require_suffix(out: Path, name: str | None) -> None:
    """A file's suffix is that of its format, or nobody could read it."""
    from datasets.files import WRITTEN
    from datasets.files.registry import format_to_write

    known = format_to_write(out, name)
    suffixes = [suffix for suffix, each in WRITTEN.items() if each == known] or [".raw"]  # EVT2 and 2.1 share EVT3's
    if out.suffix.lower() not in suffixes:
        raise NeuvaError(f"{out}: {known} is written to files that end in {' or '.join(suffixes)}: name it so")


def _tells_size(file: Path) -> bool:
    """Whether a file tells its sensor's size."""
    from datasets.files import FORMATS
    from datasets.files.registry import format_of

    return FORMATS[format_of(file)].open(file).sensor_size is not None


def _described(file: Path, sensor: str | None, repair: bool) -> dict[str, Any]:
    """The figures of a file; what asks for the sensor's size is None where neither the file nor `sensor` tells it."""
    from datasets.files import describe

    if sensor is None and not _tells_size(file):
        return _counted(file, repair)
    with _watched(file, sensor, repair) as stream:
        return asdict(describe(stream))


def _counted(file: Path, repair: bool) -> dict[str, Any]:
    """Figures of a file on a sensor of unknown size, with the largest coordinates in it."""
    from datasets.files import EventSummary

    count = on = reach_x = reach_y = 0
    start = stop = None
    with _watched(file, LARGEST_SENSOR, repair) as stream:
        for piece in stream:
            if len(piece):
                count, on = count + len(piece), on + int(piece.array["p"].sum())
                reach_x, reach_y = max(reach_x, piece.array["x"].max()), max(reach_y, piece.array["y"].max())
                start, stop = piece.t0 if start is None else start, piece.t1
    duration = 0 if start is None or stop is None else stop - start
    return dict.fromkeys(field.name for field in fields(EventSummary)) | {
        "format": stream.format,
        "count": count,
        "on_share": on / count if count else None,
        "start_us": start,
        "stop_us": stop,
        "duration_us": duration,
        "rate": count / (duration * 1e-6) if duration else None,
        "largest_xy": [int(reach_x), int(reach_y)],
    }


def _print_figures(file: Path, figures: dict[str, Any]) -> None:
    console.print(str(file), markup=False)
    table = Table(show_header=False, box=None, padding=(0, 2))
    for label, text in _rows(figures):
        table.add_row(label, text)
    console.print(table)


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
    if f["format"] is not None:
        yield "format", f["format"]
    yield "events", f"{f['count']:,}"
    yield "sensor", _sensor_text(f)
    if f["count"]:
        yield "time", f"{f['start_us']} to {f['stop_us']} us ({f['duration_us'] / 1e6:.6f} s)"
    for label, key, unit in (
        ("share ON", "on_share", ""),
        ("rate", "rate", " events/s"),
        ("rate a pixel", "rate_per_pixel", " events/s"),
        ("pixels active", "active_share", ""),
        ("between a pixel's events", "median_interval_us", " us (median)"),
    ):
        if f["sensor_size"] is not None or f[key] is not None:
            yield label, "undefined" if f[key] is None else f"{f[key]:,.4g}{unit}"


def _sensor_text(f: dict[str, Any]) -> str:
    if f["sensor_size"] is None:
        x, y = f["largest_xy"]
        return f"not told by the file (largest x {x}, y {y}): give --sensor WIDTHxHEIGHT for the other figures"
    width, height = f["sensor_size"]
    return f"{width}x{height}"
