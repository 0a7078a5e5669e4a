"""`neuva train` and `neuva evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.commands.options import Json, console, print_json, progress, stoppable
from experiments.units import counted

if TYPE_CHECKING:
    from experiments.evaluation import Evaluation

FEW_PEOPLE = 20
"""Calibrated on fewer, a region may hold far from its level of others' labels; the number is a judgement."""


def train(
    config: Annotated[Path, typer.Argument(help="Configuration, as in experiments/configs.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints and metrics (default: runs/CONFIG's name).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")] = False,
) -> None:
    """Train a network; after Ctrl-C or a kill, `--resume` goes on from the last save.

    Example: `neuva data make synthetic --out runs/faces.h5`, then `neuva train experiments/configs/faces-loihi2.yaml`

    Several processes and machines, TensorBoard, augmentation, search: see docs/training.md.
    """
    from experiments.config import load_config
    from experiments.train import rank
    from experiments.train import train as fit

    settings = load_config(config)
    folder = out or Path("runs") / config.stem
    goes_on = f"`neuva train {config} --out {folder} --resume` goes on from its newest save, if any"
    with stoppable(goes_on), progress("reading clips", "steps") as update:
        trained = fit(settings, folder, resume=resume, progress=update)
    if rank():  # of several processes, one speaks
        return
    console.print(
        f"{trained.best}: validation CCC {trained.val_ccc:.3f} after {trained.steps} steps in {trained.seconds:.0f} s"
    )


def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.ckpt), NIR graph (.nir) or chip program (.h5).")],
    data: Annotated[Path, typer.Option(help="HDF5 store with labels.")],
    split: Annotated[str, typer.Option(help="Which split of the store.")] = "test",
    json: Json = False,
) -> None:
    """CCC, PCC, RMSE, SAGR and ICC of valence and arousal, pooled over all clips of a split, and the 90 % region.

    Example: `neuva evaluate runs/faces-loihi2/best.ckpt --data runs/faces.h5`
    """
    from experiments.evaluation import evaluate as measure
    from experiments.pipeline import load_model
    from hardware.program import ChipProgram

    with progress("evaluating") as update:
        found = measure(ChipProgram.load(model) if model.suffix == ".h5" else load_model(model), data, split, update)
    if json:
        print_json(found.to_dict())
        return
    metrics = found.metrics
    console.print(f"{metrics.estimates} estimates of {counted(found.clips, 'clip')}, split {split} of {data}")
    for name in ("ccc", "pcc", "rmse", "sagr", "icc"):
        pair = [getattr(metrics, f"{name}_{what}") for what in ("valence", "arousal")]
        shown = ["undefined (constant)" if value is None else f"{value:.3f}" for value in pair]
        console.print(f"{name.upper():5} valence {shown[0]}, arousal {shown[1]}")
    console.print(_region_text(found))


def _region_text(found: Evaluation) -> str:
    """What the region is worth, in a line."""
    from experiments.evaluation import LEVEL
    from hardware.region import fewest

    region = found.region
    if region is None or found.coverage is None:
        return (
            f"{LEVEL:.0%} region: none; to calibrate one takes {fewest(LEVEL)} people (clips where people are unknown) "
            "in the validation split, and errors that vary"
        )
    share = min(region.area / 4, 1)
    text = (
        f"{region.level:.0%} region: holds {found.coverage:.1%} of the labels, covers {share:.0%} of the plane of "
        f"valence and arousal, calibrated on {region.groups} people (a clip is one where they are unknown)"
    )
    if share > 0.5:
        text += "; so large a region says little about an estimate"
    if region.groups < FEW_PEOPLE:
        text += f"; on fewer than {FEW_PEOPLE} the share it holds of others' labels may be far from its level"
    return text
