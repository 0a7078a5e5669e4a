"""`neuva convert`, `check`, `run`, `verify` and `energy`: everything that has a chip program in hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from experiments.commands.events import Repair, Sensor, sensor_size
from experiments.commands.options import Json, console, keep_inputs, print_json, progress
from experiments.units import counted
from neuva import NeuvaError

if TYPE_CHECKING:
    import numpy as np

    from hardware.check import Check
    from hardware.program import ChipProgram
    from hardware.trace import Trace

SYNTHETIC = "synthetic-faces"
"""The data set of the embedded faces."""

Program = Annotated[Path, typer.Argument(help="Chip program (.h5) made by `neuva convert`.")]


def convert(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.ckpt) or NIR graph (.nir).")],
    target: Annotated[str, typer.Option(help="loihi1, loihi2, speck2e, speck2f or dynapcnn.")],
    out: Annotated[Path, typer.Option(help="Where the program goes (.h5).")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Store whose train split calibrates the integers, and its validation split the region around an "
            "estimate (default: the store it was trained on)."
        ),
    ] = None,
    nir: Annotated[Path | None, typer.Option(help="Also write the float network as a NIR graph here.")] = None,
) -> None:
    """Turn a network into a chip's integers, calibrated and placed on cores.

    Example: `neuva convert runs/faces-loihi2/best.ckpt --target loihi2 --out loihi2.h5`
    """
    from conversion.graph import save_nir
    from experiments import pipeline
    from snn.building import require_spiking

    keep_inputs(out, model, *([data] if data else []), *([nir] if nir else []))
    keep_inputs(nir, model)
    net = require_spiking(pipeline.load_model(model))
    with progress("calibrating") as update:
        checked = pipeline.convert(net, target, data or pipeline.training_store(model), update)
    checked.program.save(out)
    if nir is not None:
        save_nir(net, nir)
    _print_findings(checked)
    layers, cores = counted(len(checked.program.layers), "layer"), counted(len(checked.cores), "core")
    console.print(f"{out}: {target}, {layers} on {cores}")


def check(program: Program, json: Json = False) -> None:
    """Design rules and use of cores; exits with 2 if the program does not fit.

    Example: `neuva check runs/demo/loihi2.h5`
    """
    from hardware.check import check as examine
    from hardware.program import ChipProgram

    checked = examine(ChipProgram.load(program))
    if json:
        print_json(checked.to_dict())
    else:
        _print_cores(checked)
        _print_findings(checked)
        console.print("fits" if checked.fits else "does not fit")
    if not checked.fits:
        raise typer.Exit(2)


def run(
    program: Program,
    events: Annotated[Path, typer.Argument(help="Any event file, or a store (neuva simulate, neuva data make).")],
    on: Annotated[
        str, typer.Option(help="emulator, lava (Loihi), emulator-events or sinabs (Speck), or loihi2 for its board.")
    ] = "emulator",
    out: Annotated[
        Path | None,
        typer.Option(help="Trace (.h5); a .csv and a .png go beside it (default: runs/PROGRAM-EVENTS[-CLIP]-ON.h5)."),
    ] = None,
    clip: Annotated[str | None, typer.Option(help="Clip of a store (default: its first).")] = None,
    sensor: Sensor = None,
    repair: Repair = False,
) -> None:
    """Valence and arousal of a recording, over time: trace, CSV and picture.

    The face is found first: in a store of `neuva simulate` by the box found in the video, in a bare event file as the
    busiest square, tracked.

    Example: `neuva run runs/demo/loihi2.h5 recording.aedat4 --on emulator --out trace.h5`
    """
    from experiments.recording import open_recording, prepare
    from experiments.running import run_input, save_run
    from hardware.program import ChipProgram

    if out is not None and out.suffix != ".h5":
        raise NeuvaError(f"{out}: a trace is an .h5 file; its .csv and .png go beside it")
    keep_inputs(out, events, program)
    loaded = ChipProgram.load(program)
    recording = open_recording(events, clip, sensor_size(sensor), repair)
    given = prepare(recording, loaded)
    trace = run_input(loaded, given, on)
    names = (program.stem, events.stem, *([clip.replace("/", "-")] if clip else []), on)
    path = out or Path("runs") / f"{'-'.join(names)}.h5"
    csv, picture = save_run(trace, given, recording, path)
    v, a = trace.va.mean(0)
    console.print(f"{counted(len(trace.va), 'estimate')} on {on}: mean valence {v:+.2f}, arousal {a:+.2f}")
    _print_doubts(loaded, trace, recording.face_near(given.start_us + trace.times))
    console.print(f"{path}, {csv}, {picture}")


def verify(
    program: Program,
    reference: Annotated[Path, typer.Option(help="The network it was made from (.ckpt or .nir).")],
    data: Annotated[Path, typer.Option(help="HDF5 store with labels.")],
    out: Annotated[Path, typer.Option(help="Certificate (JSON).")] = Path("certificate.json"),
    split: Annotated[str, typer.Option(help="Which split of the store.")] = "test",
    clips: Annotated[int, typer.Option(min=1, help="Whole clips to compare.")] = 12,
    vendor_clips: Annotated[int, typer.Option(min=0, help="Of these, on the vendor's simulator (slow).")] = 4,
) -> None:
    """Compare float reference, fake-quantised network, emulator and the vendor's simulator, spike for spike.

    Exits with 2 if the verdict is fail; the certificate is written all the same.

    Example: `neuva verify runs/demo/loihi2.h5 --reference runs/demo/loihi2/best.ckpt --data runs/faces.h5`
    """
    from conversion import fidelity
    from experiments import pipeline
    from experiments.clips import Cut
    from hardware.check import check as examine
    from hardware.program import ChipProgram
    from snn.building import require_spiking

    keep_inputs(out, program, reference, data)
    loaded, net = ChipProgram.load(program), require_spiking(pipeline.load_model(reference))
    pipeline.require_same_network(loaded, net, reference)
    chosen = pipeline.spread_clips(Cut.of(net.spec), data, split, clips)
    with progress("verifying") as update:
        certificate = fidelity.verify(
            loaded,
            net,
            chosen,
            vendor_clips=vendor_clips,
            findings=examine(loaded).findings,
            progress=update,
        )
    certificate.save(out)
    _print_certificate(certificate.figures)
    console.print(str(out))
    if not certificate.figures["verdict"]["pass"]:
        raise typer.Exit(2)


def energy(
    program: Program,
    data: Annotated[Path, typer.Option(help="HDF5 store whose clips are run; they need no labels.")],
    split: Annotated[str, typer.Option(help="Which split of the store.")] = "test",
    clips: Annotated[int, typer.Option(min=1, help="Whole clips to count over.")] = 12,
    json: Json = False,
) -> None:
    """Energy per inference from exact counts on the emulator, as low, typical and high figure with sources.

    Example: `neuva energy runs/demo/loihi2.h5 --data runs/faces.h5`
    """
    from experiments import pipeline
    from hardware.program import ChipProgram

    loaded = ChipProgram.load(program)
    with progress("counting") as update:
        report, sentence = pipeline.measure_energy(loaded, data, split, clips, update)
    if json:
        print_json({**report.to_dict(), "break_even": sentence})
        return
    console.print(f"{report}\n  {sentence}", markup=False)


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


def _print_cores(checked: Check) -> None:
    table = Table("core", "layers", "used of limit", "load", title=f"{checked.program.target}")
    shown = sorted(checked.cores, key=lambda core: -core.load)[:12]
    for core in sorted(shown, key=lambda core: core.core):
        use = ", ".join(f"{name} {used}/{limit}" for name, (used, limit) in core.use.items())
        table.add_row(str(core.core), " ".join(core.layers), use, f"{core.load:.0%}")
    console.print(table)
    if len(checked.cores) > len(shown):
        console.print(f"the {len(shown)} fullest of {len(checked.cores)} cores; --json lists all")


def _print_findings(checked: Check) -> None:
    for finding in checked.findings:
        console.print(str(finding), style="red" if finding.severity == "error" else "yellow", markup=False)


def _print_certificate(figures: dict) -> None:
    table = Table("from", "to", "clips", "mismatched spikes", "largest difference", "must be equal", title="fidelity")
    for pair in figures["fidelity"]:
        mismatches = sum(layer["mismatches"] for layer in pair["layers"])
        table.add_row(
            pair["from"],
            pair["to"],
            str(pair["clips"]),
            str(mismatches),
            f"{pair['output']['largest_difference']:.4f}",
            "yes" if pair["must_be_equal"] else "no",
        )
    console.print(table)
    for level, metrics in figures["metrics"].items():
        ccc = "undefined" if metrics["ccc"] is None else f"{metrics['ccc']:.3f}"
        console.print(f"{level}: mean CCC {ccc} on {counted(metrics['clips'], 'clip')}")
    for level in figures["not_run"]:
        console.print(f"{level}: not run", style="yellow")
    verdict = figures["verdict"]
    console.print("pass" if verdict["pass"] else f"FAIL: {'; '.join(verdict['reasons'])}", markup=False)
