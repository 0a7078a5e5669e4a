"""`neuva run`: a recording through a chip program, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from experiments.commands.events import Repair, Sensor, sensor_size
from experiments.commands.options import Program, console, keep_inputs, require_h5
from experiments.units import counted
from neuva import NeuvaError

if TYPE_CHECKING:
    import numpy as np

    from hardware.program import ChipProgram
    from hardware.trace import Trace

SYNTHETIC = "synthetic-faces"
"""The data set of the embedded faces."""


def run(
    program: Program,
    events: Annotated[
        Path,
        typer.Argument(
            help="Any event file, a store (neuva simulate, neuva data make), or input spikes: integers [T, C, H, W] in "
            "an .npy or .npz file."
        ),
    ],
    on: Annotated[
        str,
        typer.Option(
            help="emulator, lava (Loihi), emulator-events or sinabs (Speck), or loihi2, speck2e or speck2f for its "
            "board."
        ),
    ] = "emulator",
    out: Annotated[
        Path | None,
        typer.Option(help="Trace (.h5); a .csv and a .png go beside it (default: runs/PROGRAM-EVENTS[-CLIP]-ON.h5)."),
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option(
            help="Clip of a store, or its number among input spikes [T, clips, C, H, W] (default: the first)."
        ),
    ] = None,
    job: Annotated[
        Path | None,
        typer.Option(
            help="Run it by hand on another machine (--on loihi2 or lava): the first time, folder for what to copy "
            "there; given again with output.npz in it, the result."
        ),
    ] = None,
    record: Annotated[
        str, typer.Option(help="Keep these of every neuron and step in the trace: u, v or u,v (emulator and lava).")
    ] = "",
    sensor: Sensor = None,
    repair: Repair = False,
) -> None:
    """Valence and arousal of a recording, over time, or what else the program gives: trace, CSV and picture.

    For valence and arousal the face is found first: in a store of `neuva simulate` by the box found in the video, in a
    bare event file as the busiest square, tracked. Any other program is given the whole picture.

    Example: `neuva run runs/demo/loihi2.h5 recording.aedat4 --on emulator --out trace.h5`
    """
    from experiments.activity import save_activity
    from experiments.recording import gives_affect, open_input
    from experiments.running import run_input, save_run, with_origin
    from hardware import devices
    from hardware.program import ChipProgram

    if out is not None:
        require_h5(out, "a trace")
    if job is not None and record:
        raise NeuvaError(f"--record {record} does not go with --job: the other machine sends spikes alone")
    keep_inputs(out, events, program)
    loaded = ChipProgram.load(program)
    recording, given = open_input(events, loaded, clip, sensor_size(sensor), repair)
    kept = tuple(filter(None, (part.strip() for part in record.split(","))))
    trace = run_input(loaded, given, on, kept) if job is None else devices.by_hand(loaded, given.x, on, job)
    if trace is None:
        console.print(
            f"{job}: copy it to the other machine and there, in a Python with Lava, run\n"
            f"python lava_runner.py input.npz output.npz{' --hardware' if on != 'lava' else ''}\n"
            "then put output.npz into it here and give this command again"
        )
        return
    trace = with_origin(trace, loaded, given, recording.name)
    names = (program.stem, events.stem, *([clip.replace("/", "-")] if clip else []), on)
    path = out or Path("runs") / f"{'-'.join(names)}.h5"
    if gives_affect(loaded):
        csv, picture = save_run(trace, given, recording, path)
        v, a = trace.va.mean(0)
        console.print(f"{counted(len(trace.va), 'estimate')} on {on}: mean valence {v:+.2f}, arousal {a:+.2f}")
    else:
        csv, picture = save_activity(trace, loaded, given.start_us, recording.name, path)
        _print_activity(loaded, trace)
    _print_doubts(loaded, trace, recording.face_near(given.start_us + trace.times))
    console.print(f"{path}, {csv}, {picture}")


def _print_activity(program: ChipProgram, trace: Trace) -> None:
    """Spikes of each layer, then what the run comes to: the outputs' means, or the neuron that spiked most."""
    from experiments.activity import SMALL, activities, winner

    table = Table("layer", "neurons", "spikes", "a neuron and second", title=f"{trace.target} on {trace.backend}")
    for part in activities(trace):
        table.add_row(part.layer, f"{part.neurons:,}", f"{part.spikes:,}", f"{part.rate:.3g}")
    console.print(table)
    if program.readout is None:
        said = winner(trace, program)
        if said:
            console.print(said)
    elif len(program.readout.names) <= SMALL:
        means = zip(program.readout.names, trace.va.mean(0), strict=True)
        console.print(f"mean outputs: {', '.join(f'{name} {mean:+.3g}' for name, mean in means)}", markup=False)


def _print_doubts(program: ChipProgram, trace: Trace, face: np.ndarray | None) -> None:
    """What speaks against taking what a run gave at its word."""
    from experiments.recording import gives_affect

    if face is not None and not face.all():
        console.print(
            f"a face was found near {face.sum()} of {counted(len(face), 'estimate')} ({face.mean():.0%}): the others, "
            "shaded in the picture and with face 0 in the CSV, are not of a face",
            style="yellow",
        )
    if program.provenance.get("calibrated_on") == SYNTHETIC:
        console.print(
            "the program was calibrated on synthetic faces: what it says of a real one is a try, not a measurement",
            style="yellow",
        )
    given = "spikes" if program.readout is None else "estimates" if gives_affect(program) else "outputs"
    for layer, times in trace.notes.get("overflows", {}).items():
        console.print(
            f"layer {layer} went beyond the chip's 24 bits (currents wrapped around: {times['u_wraps']}, "
            f"membranes held at the limit: {times['v_clips']}): the {given} may not be the float network's",
            style="yellow",
        )
