"""`neuva demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import console, progress, stoppable


def demo(
    size: Annotated[str, typer.Option(help="default, or smallest to see that everything works.")] = "default",
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/demo"),
) -> None:
    """The main job, start to end, on embedded synthetic faces; no download, about a quarter of an hour on 2 cores.

    Makes faces and their events, trains a spiking network for each chip, tests it on unseen faces, turns it into
    integers, runs it on Lava and on sinabs' code to prove the emulators, and reports fidelity and energy. Stopped with
    Ctrl-C, the next run goes on where this one stopped; what is done is not done again. Exits with 2 if a target is
    missed or a spike differs.

    Example: `neuva demo`, then open runs/demo/report.html
    """
    from experiments.demo import Demo
    from experiments.report import overall, summary_table

    started = time.perf_counter()
    with stoppable("the next `neuva demo` goes on from here"):
        results = Demo(size, out, lambda line: console.print(line, markup=False), progress).run()
    console.print(summary_table(results))
    console.print(f"{time.perf_counter() - started:.0f} s; report: {out / 'report.html'}", markup=False)
    if overall(results).state == "fail":
        raise typer.Exit(2)
