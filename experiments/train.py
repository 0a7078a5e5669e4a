"""Trains a network from a configuration into a folder; a stopped run goes on from its last checkpoint."""

from __future__ import annotations

import json
import logging
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from experiments.config import TrainConfig
from experiments.data import AffectData
from neuva import NeuvaError, atomic_path, make_folder
from snn.training import AffectTraining

Progress = Callable[[str, int, int], None]
VALIDATIONS = 8
"""How often a run validates and saves."""


@dataclass(frozen=True)
class Trained:
    """Where the best and last checkpoints are, the best validation CCC, and how long it took."""

    best: Path
    last: Path
    val_ccc: float
    steps: int
    seconds: float


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress = lambda *_: None,
) -> Trained:
    """Train as configured, saving after each of `VALIDATIONS` equal parts.

    Into `out` go best.ckpt (by validation CCC), last.ckpt, metrics.csv, config.json and trained.json.

    Args:
        resume: go on from last.ckpt if there is one made by the same configuration.
        progress: called with (what is done, done, in all).

    Raises:
        NeuvaError: if the store lacks a split, or `resume` meets another configuration's checkpoint.
    """
    make_folder(out)
    last = out / "last.ckpt"
    goes_on = resume and last.exists()
    if goes_on and not same_configuration(config, out):
        raise NeuvaError(f"{out}: was begun with another configuration: train into another folder or without --resume")
    if not goes_on:
        for name in ("last.ckpt", "best.ckpt", "trained.json"):  # of an earlier run: never to be taken for this one's
            (out / name).unlink(missing_ok=True)
    with atomic_path(out / "config.json") as temporary:
        temporary.write_text(config.model_dump_json(indent=2))
    lightning.seed_everything(config.seed, verbose=False)
    per_epoch = math.ceil(config.recipe.steps / VALIDATIONS)
    started = time.perf_counter()
    with _quiet():
        data = AffectData(
            config.data,
            config.network,
            config.seed,
            per_epoch,
            lambda done, all_: progress("reading clips", done, all_),
        )
        module = AffectTraining.fresh(config.network, config.recipe, data.first())
        checkpoint = ModelCheckpoint(out, "best", monitor="val_ccc", mode="max", enable_version_counter=False)
        newest = ModelCheckpoint(out, "last", every_n_epochs=1, enable_version_counter=False)
        trainer = lightning.Trainer(
            max_steps=config.recipe.steps,
            devices=1,
            gradient_clip_val=config.recipe.clip_norm,
            callbacks=[checkpoint, newest, _Report(progress, config.recipe.steps)],
            enable_progress_bar=False,
            logger=CSVLogger(out, name="", version=""),
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            log_every_n_steps=10,
            enable_model_summary=False,
        )
        _fit(trainer, module, data, last if goes_on else None)
    best = checkpoint.best_model_score
    trained = Trained(
        out / "best.ckpt",
        last,
        float(best) if best is not None else float("nan"),
        config.recipe.steps,
        time.perf_counter() - started,
    )
    with atomic_path(out / "trained.json") as temporary:
        temporary.write_text(
            json.dumps({"val_ccc": trained.val_ccc, "steps": trained.steps, "seconds": trained.seconds})
        )
    return trained


def _fit(trainer: lightning.Trainer, module: AffectTraining, data: AffectData, checkpoint: Path | None) -> None:
    """Fit; a Ctrl-C comes out as KeyboardInterrupt, which Lightning would turn into an exit without a word."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


class _Report(lightning.Callback):
    """Tells the run's steps, loss and validation CCC."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self.progress, self.steps = progress, steps

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """After each step."""
        shown = {key: trainer.callback_metrics.get(key) for key in ("loss", "val_ccc")}
        text = ", ".join(
            f"{key.replace('val_ccc', 'validation CCC')} {v:.2f}" for key, v in shown.items() if v is not None
        )
        self.progress(f"training: {text}", trainer.global_step, self.steps)


def same_configuration(config: TrainConfig, out: Path) -> bool:
    """Whether the folder was begun with this very configuration."""
    path = out / "config.json"
    return path.exists() and path.read_text() == config.model_dump_json(indent=2)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Lightning says of things we decided on purpose (no worker processes on two cores)."""
    loggers = [
        logging.getLogger(name)
        for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    torch.set_float32_matmul_precision("high")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*isinstance.*treespec.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
