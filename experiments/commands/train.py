"""`neuva train` and `neuva evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import Json, console, print_json, progress, stoppable


def train(
    config: Annotated[Path, typer.Argument(help="Configuration, as in experiments/configs.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints and metrics (default: runs/CONFIG's name).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")] = False,
) -> None:
    """Train a network; after Ctrl-C, `--resume` goes on from the last save.

    Example: `neuva data make synthetic --out runs/faces.h5`, then `neuva train experiments/configs/faces-loihi2.yaml`
    """
    from experiments.config import load_config
    from experiments.train import VALIDATIONS
    from experiments.train import train as fit

    settings = load_config(config)
    folder = out or Path("runs") / config.stem
    goes_on = (
        f"`neuva train {config} --out {folder} --resume` goes on from the newest of its {VALIDATIONS} saves, if any"
    )
    with stoppable(goes_on), progress("reading clips", "steps") as update:
        trained = fit(settings, folder, resume=resume, progress=update)
    console.print(
        f"{trained.best}: validation CCC {trained.val_ccc:.3f} after {trained.steps} steps in {trained.seconds:.0f} s"
    )


def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.ckpt) or NIR graph (.nir).")],
    data: Annotated[Path, typer.Option(help="HDF5 store with labels.")],
    split: Annotated[str, typer.Option(help="Which split of the store.")] = "test",
    json: Json = False,
) -> None:
    """CCC, PCC and RMSE of valence and arousal, pooled over all clips of a split.

    Example: `neuva evaluate runs/faces-loihi2/best.ckpt --data runs/faces.h5`
    """
    from experiments.pipeline import evaluate_network, load_model

    with progress("evaluating") as update:
        metrics = evaluate_network(load_model(model), data, split, update)
    if json:
        print_json(metrics.to_dict())
        return
    console.print(f"{metrics.estimates} estimates of split {split} of {data}")
    for name, v, a in (
        ("CCC", metrics.ccc_valence, metrics.ccc_arousal),
        ("PCC", metrics.pcc_valence, metrics.pcc_arousal),
        ("RMSE", metrics.rmse_valence, metrics.rmse_arousal),
    ):
        shown = ["undefined (constant)" if value is None else f"{value:.3f}" for value in (v, a)]
        console.print(f"{name:5} valence {shown[0]}, arousal {shown[1]}")
