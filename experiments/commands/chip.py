"""`neuva convert`, `check` and `verify`: what makes a chip program and says whether it fits and how faithful it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from experiments.commands.certificate import print_certificate
from experiments.commands.check import print_cores, print_findings, print_rates, print_step_time
from experiments.commands.options import Json, Program, console, keep_inputs, print_json, progress, require_h5
from experiments.units import counted
from neuva import NeuvaError

if TYPE_CHECKING:
    from conversion.nir_import import Reading
    from experiments.pipeline import ForSpeck
    from hardware.check import Check


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
        int | None,
        typer.Option(min=1, help="Another framework's .nir, or a .net: how long a step lasts, in microseconds."),
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

    require_h5(out, "a program")
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
    print_certificate(certificate.figures)
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
