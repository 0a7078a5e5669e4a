"""`neuva simulate`: a video of a face into events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from experiments.commands.options import console, progress, require_h5
from neuva import NeuvaError


class ListsPresets(TyperCommand):
    """Names all presets in the help, where alone they are looked up: the simulator is slow to import."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, as Typer does."""
        from datasets.simulator import PRESETS

        for parameter in self.params:
            if parameter.name == "preset":
                parameter.help = f"Pixel model: {', '.join(PRESETS)}."  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def simulate(
    video: Annotated[Path, typer.Argument(help="A video, or a folder of images.")],
    out: Annotated[Path, typer.Argument(help="HDF5 store to write.")],
    preset: Annotated[str, typer.Option(help="Pixel model.")] = "v2e",
    interpolate: Annotated[
        Literal["none", "linear", "flow"],
        typer.Option(
            help="Between frames: nothing, cross-faded frames, or frames along the motion, so that nothing moves by "
            "more than a pixel."
        ),
    ] = "none",
    height: Annotated[
        int | None,
        typer.Option(
            min=16, help="Height of the sensor in pixels (default: so that the face has 94, as synthetic ones)."
        ),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of a folder of images.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of thresholds and noise.")] = 0,
    picture: Annotated[
        Path | None, typer.Option(help="Where six moments are drawn, frames above events (default: OUT with .png).")
    ] = None,
) -> None:
    """Turn a video of a face into events, and find the face.

    Example: `neuva simulate face.mp4 face.h5 --interpolate flow`, then `neuva run runs/demo/loihi2.h5 face.h5`
    """
    from datasets.inputs import keep_apart
    from experiments.simulation import simulate_video

    picture = picture or out.with_suffix(".png")
    keep_apart(out, [video])
    require_h5(out, "a store")
    keep_apart(picture, [video, out])
    if picture.suffix.lower() != ".png":
        raise NeuvaError(f"{picture}: the picture is written as .png: name it so")
    with progress("finding the face", unit="frames") as update:
        made = simulate_video(
            video, out, preset=preset, interpolate=interpolate, height=height, fps=fps, seed=seed, picture=picture,
            progress=update,
        )  # fmt: skip
    width, high = made.sensor_size
    between = f" and {made.subframes} between them" if interpolate != "none" else ""
    console.print(
        f"{out}: {made.events} events, {width}x{high}, {made.seconds:.2f} s; {made.frames} frames{between}; {picture}"
    )
    if made.faces < made.frames:
        console.print(
            f"a face in {made.faces} of {made.frames} frames ({made.faces / made.frames:.0%}), the last at "
            f"{made.last_face_us / 1e6:.2f} s: its box goes straight between those and rests before and after them"
        )
