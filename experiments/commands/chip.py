"""`neuva convert`, `check`, `run` and `verify`: what makes a chip program, runs it and says how faithful it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.table import Table

from experiments.commands.check import print_cores, print_findings, print_rates, print_step_time
from experiments.commands.events import Repair, Sensor, sensor_size
from experiments.commands.options import Json, Program, console, keep_inputs, print_json, progress
from experiments.units import counted
from neuva import NeuvaError

if TYPE_CHECKING:
    import numpy as np

    from conversion.nir_import import Reading
    from experiments.pipeline import ForSpeck
    from hardware.check import Check
    from hardware.program import ChipProgram
    from hardware.trace import Trace

SYNTHETIC = "synthetic-faces"
"""The data set of the embedded faces."""


def convert(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.ckpt), NIR graph (.nir) or lava-dl network (.net).")],
    target: Annotated[str, typer.Option(help="loihi1, loihi2, speck2e, speck2f or dynapcnn.")],
    out: Annotated[Path, typer.Option(help="Where the program goes (.h5).")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Store whose train split calibrates the integers, and its validation split the region around an "
            "estimate (default: the store it was trained on); or an .npy of input spikes [T, clips, C, H, W]."
        ),
    ] = None,
    dt_us: Annotated[
        int | None, typer.Option(help="Another framework's .nir, or a .net: how long a step lasts, in microseconds.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Another framework's .nir: its input, binary (at most one spike) or counts.")
    ] = None,
    graph_step: Annotated[
        float | None,
        typer.Option(help="Another framework's .nir: the step in its own unit of time (snnTorch 1e-4, sinabs 1, ...)."),
    ] = None,
    reset: Annotated[
        str | None,
        typer.Option(
            help="Another framework's .nir: zero or subtract, where the network resets unlike its graph says."
        ),
    ] = None,
    low: Annotated[
        float | None,
        typer.Option(help="Another framework's .nir: lower bound of its membranes (sinabs' min_v_mem)."),
    ] = None,
    multi_spike: Annotated[
        bool, typer.Option("--multi-spike", help="Another framework's .nir: several spikes a step (sinabs' default).")
    ] = False,
    scale: Annotated[
        str, typer.Option(help="Speck: calibrated (by the outputs' error) or sinabs (the integers that sinabs writes).")
    ] = "calibrated",
    camera: Annotated[
        str | None,
        typer.Option(
            help='Speck: give it a sensor\'s own events through its camera layer, "crop: centre" or any of size, '
            'polarity, pool, crop, mirror_x, mirror_y, swap_xy: "pool: 2, mirror_x: true".'
        ),
    ] = None,
    classes_on_chip: Annotated[
        bool,
        typer.Option("--classes-on-chip", help="Speck: class k at feature 4 k, where the chip's read-out layer looks."),
    ] = False,
    input_shape: Annotated[
        str | None, typer.Option(help="A .net: C,H,W of its input, where its first layer does not tell it.")
    ] = None,
    reset_every: Annotated[
        int | None, typer.Option(min=1, help="A .net: steps after which all states start anew (netx's reset_interval).")
    ] = None,
    nir: Annotated[Path | None, typer.Option(help="Also write the float network as a NIR graph here.")] = None,
) -> None:
    """Turn a network into a chip's integers, calibrated and placed on cores.

    Example: `neuva convert runs/faces-loihi2/best.ckpt --target loihi2 --out loihi2.h5`

    Of another framework: `neuva convert net.nir --target loihi2 --out chip.h5 --data spikes.npy --dt-us 1000
    --encoding binary --graph-step 1e-4`

    For a Speck from sinabs: `neuva convert net.nir --target speck2f --out chip.h5 --data spikes.npy --dt-us 1000
    --encoding counts --low -1 --multi-spike --scale sinabs`

    Of lava-dl, integers already: `neuva convert network.net --target loihi2 --out chip.h5 --dt-us 1000`
    """
    from conversion.nir_export import save_nir
    from experiments import pipeline
    from snn.building import require_spiking

    keep_inputs(out, model, *([data] if data else []), *([nir] if nir else []))
    keep_inputs(nir, model)
    if model.suffix == ".net":
        given = (encoding, graph_step, reset, low, camera, multi_spike or None, classes_on_chip or None)
        if any(option is not None for option in (data, nir, *given)) or scale != "calibrated":
            raise NeuvaError(
                f"{model}: holds integers already: leave out all options but --dt-us, --input-shape and --reset-every"
            )
        _finish(pipeline.convert_net(model, target, dt_us, _shape(input_shape), reset_every or 0), target, out)
        return
    if input_shape is not None or reset_every is not None:
        raise NeuvaError(f"{model}: --input-shape and --reset-every are for .net files: leave them out")
    reading = _reading(dt_us, encoding, graph_step, reset, low, multi_spike)
    net = require_spiking(pipeline.load_model(model, reading))
    asked = _asked(scale, camera, classes_on_chip, net.spec.input_shape)
    with progress("calibrating") as update:
        checked = pipeline.convert(net, target, data or pipeline.training_store(model), update, reading, asked)
    if nir is not None:
        save_nir(net, nir)
    _finish(checked, target, out)


def _finish(checked: Check, target: str, out: Path) -> None:
    """Save what was converted and say what it takes."""
    checked.program.save(out)
    print_findings(checked)
    layers, cores = counted(len(checked.program.layers), "layer"), counted(len(checked.cores), "core")
    console.print(f"{out}: {target}, {layers} on {cores}")


def _shape(text: str | None) -> tuple[int, int, int] | None:
    """C,H,W as the command line has it.

    Raises:
        NeuvaError: if it is no such thing.
    """
    if text is None:
        return None
    sides = [int(part) for part in text.split(",") if part.strip().isdecimal()]
    if len(sides) != 3 or len(text.split(",")) != 3 or min(sides) < 1:
        raise NeuvaError(f"--input-shape {text}: give three numbers from 1 on, as 2,32,32 (channels, height, width)")
    return sides[0], sides[1], sides[2]


def check(
    program: Program,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Trace (.h5) of `neuva run` on the emulator, for the time of its steps (Loihi) or its cores' synaptic "
            "operations a second (Speck)."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Design rules, use of cores, time of a step, and what would make it fit; exits with 2 if it does not.

    Example: `neuva check runs/demo/loihi2.h5`
    """
    from hardware.check import check as examine
    from hardware.program import ChipProgram
    from hardware.trace import Trace

    checked = examine(ChipProgram.load(program), Trace.load(trace) if trace else None)
    if json:
        print_json(checked.to_dict())
    else:
        print_cores(checked)
        print_step_time(checked)
        print_rates(checked)
        print_findings(checked)
        console.print("fits" if checked.fits else "does not fit")
    if not checked.fits:
        raise typer.Exit(2)


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

    if out is not None and out.suffix != ".h5":
        raise NeuvaError(f"{out}: a trace is an .h5 file; its .csv and .png go beside it")
    if job is not None and record:
        raise NeuvaError(f"--record {record} does not go with --job: the other machine sends spikes alone")
    keep_inputs(out, events, program)
    loaded = ChipProgram.load(program)
    recording, given = open_input(events, loaded, clip, sensor_size(sensor), repair)
    kept = tuple(filter(None, record.split(",")))
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


def verify(
    program: Program,
    reference: Annotated[Path, typer.Option(help="The network it was made from (.ckpt or .nir).")],
    data: Annotated[Path, typer.Option(help="HDF5 store with labels, or an .npy of input spikes as for `convert`.")],
    out: Annotated[Path, typer.Option(help="Certificate (JSON).")] = Path("certificate.json"),
    split: Annotated[str, typer.Option(help="Which split of the store.")] = "test",
    clips: Annotated[int, typer.Option(min=1, help="Whole clips to compare.")] = 12,
    vendor_clips: Annotated[int, typer.Option(min=0, help="Of these, on the vendor's simulator (slow).")] = 4,
    device_trace: Annotated[
        list[Path] | None,
        typer.Option(help="Trace (.h5) that `neuva run` recorded on a board, of one of these clips; may be repeated."),
    ] = None,
) -> None:
    """Compare float reference, fake-quantised network, emulator, the vendor's simulator and a board's recordings.

    Exits with 2 if the verdict is fail; the certificate is written all the same.

    Example: `neuva verify runs/demo/loihi2.h5 --reference runs/demo/loihi2/best.ckpt --data runs/faces.h5`
    """
    from conversion import fidelity
    from experiments import pipeline
    from hardware.check import check as examine
    from hardware.program import ChipProgram
    from hardware.trace import Trace
    from snn.building import require_spiking

    recorded = device_trace or []
    keep_inputs(out, program, reference, data, *recorded)
    loaded = ChipProgram.load(program)
    net = require_spiking(pipeline.load_model(reference, pipeline.reading_of(loaded)))
    pipeline.require_same_network(loaded, net, reference)
    net = pipeline.as_converted(loaded, net)
    chosen = pipeline.chosen_clips(net, data, split, clips)
    with progress("verifying") as update:
        certificate = fidelity.verify(
            loaded,
            net,
            chosen,
            vendor_clips=vendor_clips,
            findings=examine(loaded).findings,
            device_traces={str(path): Trace.load(path) for path in recorded},
            progress=update,
        )
    certificate.save(out)
    _print_certificate(certificate.figures)
    console.print(str(out))
    if not certificate.figures["verdict"]["pass"]:
        raise typer.Exit(2)


def _asked(scale: str, camera: str | None, classes_on_chip: bool, shape: tuple[int, int, int]) -> ForSpeck | None:
    from experiments.camera import camera_of
    from experiments.pipeline import ForSpeck

    if scale not in ("calibrated", "sinabs"):
        raise NeuvaError(f"--scale {scale}: allowed are calibrated and sinabs")
    if scale == "calibrated" and camera is None and not classes_on_chip:
        return None
    return ForSpeck(cast("Any", scale), None if camera is None else camera_of(camera, shape), classes_on_chip)


def _reading(
    dt_us: int | None,
    encoding: str | None,
    graph_step: float | None,
    reset: str | None,
    low: float | None,
    multi_spike: bool,
) -> Reading | None:
    from conversion.nir_import import Reading

    if all(option is None for option in (dt_us, encoding, graph_step, reset, low, multi_spike or None)):
        return None
    if dt_us is None or encoding is None:
        raise NeuvaError("another framework's graph needs both --dt-us and --encoding: give the one that is missing")
    return Reading(dt_us, cast("Any", encoding), graph_step, cast("Any", reset), low, multi_spike)


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
    """What speaks against taking the estimates of a run at their word."""
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
    for layer, times in trace.notes.get("overflows", {}).items():
        console.print(
            f"layer {layer} went beyond the chip's 24 bits (currents wrapped around: {times['u_wraps']}, "
            f"membranes held at the limit: {times['v_clips']}): the estimates may not be the float network's",
            style="yellow",
        )


def _print_certificate(figures: dict) -> None:
    table = Table("from", "to", "clips", "mismatched spikes", "largest difference", "must be equal", title="fidelity")
    for pair in figures["fidelity"]:
        mismatches = sum(layer["mismatches"] for layer in pair["layers"])
        table.add_row(
            pair["from"],
            pair["to"],
            str(pair["clips"]),
            str(mismatches),
            f"{pair['output']['largest_difference']:.4f}" if pair["output"] else "no outputs",
            "yes" if pair["must_be_equal"] else "no",
        )
    console.print(table)
    if figures["metrics"] is None:
        console.print("no valence and arousal to compare with labels: levels are compared by spikes and outputs alone")
    for level, metrics in (figures["metrics"] or {}).items():
        ccc = "undefined" if metrics["ccc"] is None else f"{metrics['ccc']:.3f}"
        console.print(f"{level}: mean CCC {ccc} on {counted(metrics['clips'], 'clip')}")
    for level in figures["not_run"]:
        console.print(f"{level}: not run", style="yellow")
    verdict = figures["verdict"]
    console.print("pass" if verdict["pass"] else f"FAIL: {'; '.join(verdict['reasons'])}", markup=False)
