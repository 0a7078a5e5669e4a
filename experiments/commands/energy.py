"""`neuva energy`: what an inference costs, modelled and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import Json, Program, console, print_json, progress
from neuva import NeuvaError


def energy(
    program: Program,
    data: Annotated[
        Path | None, typer.Option(help="HDF5 store whose clips are run on the emulator; they need no labels.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which split of the store.")] = "test",
    clips: Annotated[int, typer.Option(min=1, help="Whole clips to count over.")] = 12,
    device_trace: Annotated[
        list[Path] | None,
        typer.Option(
            help="Instead of --data: trace (.h5) that `neuva run` recorded on a board; what its rails drew stands "
            "beside the model. May be repeated."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Energy per inference from exact counts of runs, as low, typical and high figure with sources.

    Example: `neuva energy runs/demo/loihi2.h5 --data runs/faces.h5`
    """
    from experiments import pipeline
    from hardware.program import ChipProgram

    loaded = ChipProgram.load(program)
    if data is not None and not device_trace:
        with progress("counting") as update:
            report, sentence = pipeline.measure_energy(loaded, data, split, clips, update)
    elif device_trace and data is None:
        report, sentence = pipeline.recorded_energy(loaded, device_trace)
    else:
        raise NeuvaError("energy is counted on a store's clips or on a board's traces: give --data or --device-trace")
    if json:
        print_json({**report.to_dict(), "break_even": sentence})
        return
    console.print(f"{report}\n  {sentence}", markup=False)
