"""`neuva stress`: a recording at rising rates, and where a Speck's cores reach their ceiling."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from experiments.commands.events import Repair, Sensor, sensor_size
from experiments.commands.options import Json, console, keep_inputs, print_json, progress
from experiments.units import ABSENT, si
from neuva import NeuvaError

if TYPE_CHECKING:
    from experiments.stress import Rung


def stress(
    program: Annotated[Path, typer.Argument(help="Program for a Speck (.h5) made by `neuva convert`.")],
    events: Annotated[Path, typer.Argument(help="Any event file, or a store (neuva simulate, neuva data make).")],
    out: Annotated[Path, typer.Option(help="Where the picture goes (.png).")] = Path("stress.png"),
    synops_per_s: Annotated[
        float | None, typer.Option(help="A core's ceiling in synaptic operations a second (default: an assumption).")
    ] = None,
    drop: Annotated[bool, typer.Option(help="Events that find a queue full are lost instead of waiting.")] = False,
    clip: Annotated[str | None, typer.Option(help="Clip of a store (default: its first).")] = None,
    sensor: Sensor = None,
    repair: Repair = False,
    json: Json = False,
) -> None:
    """Offered load of each core of a Speck and latency of an event, as the recording is played faster and faster.

    The rates are of events that reach the first core: past the camera layer and, where the program's input is binary,
    the first of a pixel in each step alone.

    What a core can do in a second is not published: the figures rest on the assumptions in
    hardware/speck/queueing/timing.yaml, and move with them.

    Example: `neuva stress runs/demo/speck2f.h5 recording.aedat4 --out stress.png`
    """
    from experiments.plots import load_and_latency, save_png
    from experiments.recording import open_recording, prepare
    from experiments.stress import ceilings
    from experiments.stress import stress as climb
    from hardware.program import ChipProgram
    from hardware.speck.queueing import Queue, Timing

    keep_inputs(out, events, program)
    if out.suffix.lower() != ".png":
        raise NeuvaError(f"{out}: the picture is written as .png: name it so")
    loaded = ChipProgram.load(program)
    timing = Timing.load()
    timing = replace(timing, synops_per_s=synops_per_s) if synops_per_s is not None else timing
    given = prepare(open_recording(events, clip, sensor_size(sensor), repair), loaded)
    with progress("stress", unit="rates") as update:
        rungs = climb(loaded, given.since_start(loaded.dt_us), Queue(timing, "drop" if drop else "wait"), update)
    passed = ceilings(rungs)
    figure = load_and_latency(*curves(rungs), passed, f"{events.name} on {loaded.target}")
    save_png(figure, out)
    if json:
        print_json({"ceilings_events_per_s": passed, "rates": [asdict(rung) for rung in rungs]})
        return
    console.print(_table(rungs))
    for layer, rate in passed.items():
        console.print(f"{layer} reaches its ceiling at {si(rate, 'events/s')}")
    console.print(f"assumed: {timing.synops_per_s:.3g} synaptic operations/s a core, {timing.buffer} events may wait")
    console.print(str(out), markup=False)


def curves(rungs: list[Rung]) -> tuple[list[float], dict[str, list[float]], dict[str, list[float]]]:
    """Rates, load of each layer's core, and latencies in seconds, as the picture takes them."""
    loads = {
        core.layer: [rung.report.cores[index].load for rung in rungs]
        for index, core in enumerate(rungs[0].report.cores)
    }
    latencies = {
        name: [(getattr(rung.report.latency, key) or float("nan")) * 1e-6 for rung in rungs]
        for name, key in (("99th percentile", "p99_us"), ("median", "median_us"))
    }
    return [rung.rate for rung in rungs], loads, latencies


def _table(rungs: list[Rung]) -> Table:
    lost = "dropped" if rungs[0].report.queue.full == "drop" else "queue full"
    layers = [core.layer for core in rungs[0].report.cores]
    table = Table("time", "events/s", *(f"offered {layer}" for layer in layers), "median", "99 %", lost, "first at")
    for rung in rungs:
        report, first = rung.report, rung.report.first_full
        times = (report.latency.median_us, report.latency.p99_us)
        table.add_row(
            f"{rung.factor:g}x",
            f"{rung.rate:,.0f}",
            *(f"{core.load:.0%}" for core in report.cores),
            *(ABSENT if time is None else si(time * 1e-6, "s") for time in times),
            f"{sum(core.full for core in report.cores):,}",
            ABSENT if first is None else f"{first.layer}, {si((first.first_full_us or 0.0) * 1e-6, 's')}",
        )
    return table
