"""`neuva data` and `neuva simulate`: stores of clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import console, keep_inputs, progress, stoppable
from neuva import NeuvaError

app = typer.Typer(help="Make a data set's store, and look at one.", no_args_is_help=True)


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="synthetic: the embedded faces.")],
    out: Annotated[Path, typer.Option(help="HDF5 store to write.")],
    size: Annotated[str, typer.Option(help="smallest or default.")] = "default",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Make a store: clips, events, labels. A stopped run goes on.

    Example: `neuva data make synthetic --out runs/faces.h5`
    """
    from datasets.synthetic import make_synthetic
    from experiments.sizes import faces_of

    if name != "synthetic":
        raise NeuvaError(f'data set "{name}" is not known: choose synthetic')
    with stoppable("the same command goes on from here"), progress("rendering faces and their events") as update:
        make_synthetic(out, faces_of(size), workers=workers, progress=update)
    console.print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


@app.command()
def show(
    store: Annotated[Path | None, typer.Argument(help="A store; without one, the embedded faces themselves.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write.")] = Path("sheet.png"),
) -> None:
    """A contact sheet: the embedded faces' identities and expressions, or a store's clips with their events.

    Example: `neuva data show -o faces.png`
    """
    from datasets.faces import write_contact_sheet
    from experiments.sheet import store_sheet

    if store is None:
        write_contact_sheet(out, list(range(8)))
    else:
        store_sheet(store, out)
    console.print(str(out))


def simulate(
    video: Annotated[Path, typer.Argument(help="A video, or a folder of images.")],
    out: Annotated[Path, typer.Argument(help="HDF5 store to write.")],
    preset: Annotated[str, typer.Option(help="Pixel model: ideal, clean, noisy or v2e.")] = "v2e",
    height: Annotated[
        int | None, typer.Option(min=16, help="Height of the sensor in pixels (default: so that the face has 128).")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of a folder of images.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of thresholds and noise.")] = 0,
) -> None:
    """Turn a video of a face into events, and find the face.

    Example: `neuva simulate face.mp4 face.h5`, then `neuva run runs/demo/loihi2.h5 face.h5`
    """
    from experiments.simulation import simulate_video

    keep_inputs(out, video)
    with progress("simulating", unit="frames") as update:
        events, seconds = simulate_video(video, out, preset=preset, height=height, fps=fps, seed=seed, progress=update)
    width, high = events.sensor_size
    console.print(f"{out}: {len(events)} events, {width}x{high}, {seconds:.2f} s")
