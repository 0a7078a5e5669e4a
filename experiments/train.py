"""Trains a network from a configuration into a folder; a stopped or killed run goes on from its last checkpoint."""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from conversion.retarget import start_from
from experiments.checkpoints import Best, LastStep, SafeCheckpoints, newest, steps_done
from experiments.chip_aware import ChipAware, begins_after
from experiments.chip_fit import chip_of, require_fit
from experiments.config import TrainConfig
from experiments.data import AffectData
from neuva import NeuvaError, atomic_path, make_folder
from snn.networks import ValenceArousalNet
from snn.training import AffectTraining

Progress = Callable[[str, int, int], None]
VALIDATIONS = 8
"""How often a run validates and saves at most."""


@dataclass(frozen=True)
class Trained:
    """Where the best and last checkpoints are, the best validation CCC, and how long it took in all its sessions."""

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
    """Train as configured, validating and saving after each of at most `VALIDATIONS` parts, equal but for the last.

    Into `out` go best.ckpt (by validation CCC; of the chip-aware part alone where there is one), last.ckpt,
    metrics.csv, TensorBoard's events, config.json and trained.json.

    Args:
        resume: go on from last.ckpt if there is one made by the same configuration.
        progress: called with (what is done, done, in all).

    Nothing of an earlier run in `out` is touched before all of this has been checked.

    Raises:
        NeuvaError: if the processes cannot share a batch evenly or outnumber the GPUs, the store lacks a split, the
            network does not fit its chip, the weights to start with do not fit the network or lie in `out`, `resume`
            meets a damaged checkpoint or another configuration's, processes would not begin at the same step, training
            diverges, or nothing can be scored.
    """
    nodes, devices = _processes(config)
    last = out / "last.ckpt"
    goes_on = resume and last.exists()
    done = _done(config, out) if goes_on else 0
    if not goes_on and config.start is not None and config.start.resolve().parent == out.resolve():
        raise NeuvaError(
            f"start: {config.start} lies in {out}, where this run writes its own: train into another folder"
        )
    if rank():
        progress = _silent
    lightning.seed_everything(config.seed, verbose=False)
    report = _Report(progress, config.recipe.steps)
    with _quiet():
        data = AffectData(
            config.data,
            config.network,
            config.seed,
            math.ceil(config.recipe.steps / VALIDATIONS),
            lambda done, all_: progress("reading clips", done, all_),
        )
        half = _half(config.precision)
        _require_scored(data, config)
        module = _plain(config, half) if goes_on else _begun(config, data, half)
        make_folder(out)
        if not rank():
            _prepare_folder(config, out, goes_on)
        best = Best(out, since=_scored_from(config))
        callbacks = [_SameStart(done), report, *_chip_aware(config), LastStep(), best, newest(out)]
        trainer = lightning.Trainer(
            max_steps=config.recipe.steps,
            num_nodes=nodes,
            devices=devices,
            strategy="ddp" if nodes * devices > 1 else "auto",
            use_distributed_sampler=False,
            precision="32-true",  # half precision is `AffectTraining`'s own: Lightning's would reach the traces too
            gradient_clip_val=config.recipe.clip_norm,
            callbacks=callbacks,
            plugins=[SafeCheckpoints()],
            enable_progress_bar=False,
            logger=_loggers(out, done),
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            enable_model_summary=False,
        )
        _fit(trainer, module, data, last if goes_on else None)
    if best.best_model_score is None:
        raise NeuvaError(f"{out}: no validation was scored, so there is no best.ckpt: train without --resume")
    score = float(best.best_model_score)
    trained = Trained(out / "best.ckpt", last, score, config.recipe.steps, report.seconds)
    if not rank():
        with atomic_path(out / "trained.json") as temporary:
            temporary.write_text(
                json.dumps({"val_ccc": trained.val_ccc, "steps": trained.steps, "seconds": trained.seconds})
            )
    return trained


def rank() -> int:
    """Number of this process among those that train together; the first one, 0, speaks and writes."""
    return getattr(rank_zero_only, "rank", 0)


def _same_configuration(config: TrainConfig, out: Path) -> bool:
    """Whether the folder was begun with this very configuration."""
    path = out / "config.json"
    return path.exists() and path.read_text() == config.model_dump_json(indent=2)


def _done(config: TrainConfig, out: Path) -> int:
    """Steps done by the run in `out`, which is to go on.

    Raises:
        NeuvaError: if it was begun with another configuration, or its checkpoint is damaged.
    """
    if not _same_configuration(config, out):
        raise NeuvaError(f"{out}: was begun with another configuration: train into another folder or without --resume")
    return steps_done(out / "last.ckpt")


def _require_scored(data: AffectData, config: TrainConfig) -> None:
    """Refuse data on which no estimate would ever be scored, rather than train on nothing.

    Raises:
        NeuvaError: if fewer than 2 estimates of the training clips are scored, or none of the validation clips.
    """
    warm_up, longest = config.recipe.warm_up, max(clip.estimates for clip in data.windows.clips)
    if data.scored(warm_up) < 2:
        raise NeuvaError(
            f"{config.data.store}: nothing to learn from: split train has no 2 valid labels after a clip's first "
            f"{warm_up} estimates (recipe.warm_up; the longest clip has {longest}): lower it, or make longer clips"
        )
    if not any(clip.mask.any() for clip in data.validation_clips):
        raise NeuvaError(f"{config.data.store}: split validation holds no valid label: nothing could choose the best")


def _prepare_folder(config: TrainConfig, out: Path, goes_on: bool) -> None:
    if not goes_on:  # of an earlier run: never to be taken for this one's
        for old in (*(out / name for name in ("last.ckpt", "best.ckpt", "trained.json")), *out.glob("events.out.*")):
            old.unlink(missing_ok=True)
    with atomic_path(out / "config.json") as temporary:
        temporary.write_text(config.model_dump_json(indent=2))


def _plain(config: TrainConfig, half: bool) -> AffectTraining:
    """A training whose weights come from a checkpoint."""
    return AffectTraining(config.network.to_dict(), asdict(config.recipe), half)


def _begun(config: TrainConfig, data: AffectData, half: bool) -> AffectTraining:
    """A training at its beginning, whose network fits its chip."""
    first = data.first()
    if config.start is None:
        module = AffectTraining.fresh(config.network, config.recipe, first, half)
    else:
        module = _plain(config, half)
        start_from(module.net, config.start, first)
    chip = chip_of(config)
    if chip is not None and isinstance(module.net, ValenceArousalNet):
        require_fit(module.net, chip, first)
    return module


def _chip_aware(config: TrainConfig) -> list[lightning.Callback]:
    return [] if config.chip_aware is None else [ChipAware(config.chip_aware.target, config.chip_aware.last)]


def _processes(config: TrainConfig) -> tuple[int, int]:
    """Machines, and processes on each: as torchrun says, else one machine with `devices`.

    Raises:
        NeuvaError: if they cannot share a batch evenly, or outnumber this machine's GPUs.
    """
    nodes, devices = 1, config.devices
    if "TORCHELASTIC_RUN_ID" in os.environ:
        world, devices = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        nodes = world // devices
    if config.data.batch % (nodes * devices):
        raise NeuvaError(
            f"data.batch = {config.data.batch} on {nodes * devices} processes: it must be a multiple of their number"
        )
    gpus = torch.cuda.device_count()
    if 0 < gpus < devices:
        raise NeuvaError(
            f"devices = {devices} on a machine of {gpus} GPUs: each process takes one; allowed are 1 to {gpus}"
        )
    return nodes, devices


def _half(precision: str) -> bool:
    if precision == "auto":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return precision == "bfloat16"


def _scored_from(config: TrainConfig) -> int:
    """Step after which the network is what the chip will run."""
    return 0 if config.chip_aware is None else begins_after(config.recipe.steps, config.chip_aware.last)


def _loggers(out: Path, done: int) -> list[Any]:
    """TensorBoard and metrics.csv, which go on after step `done`."""
    table = out / "metrics.csv"
    rows: list[dict[str, Any]] = []
    if done and table.exists():
        with table.open(newline="") as file:
            rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file) if int(row["step"]) < done]
    metrics = CSVLogger(out, name="", version="")
    if not rank():
        for row in rows:
            metrics.experiment.log_metrics({k: v for k, v in row.items() if k != "step"}, int(row["step"]))
        metrics.experiment.save()
    return [metrics, TensorBoardLogger(out, name="", version="", default_hp_metric=False, purge_step=done or None)]


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
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # gloo's threads abort a process that ends while they run


class _SameStart(lightning.Callback):
    """Refuses processes that would not all begin at the same step: they would wait for each other for ever."""

    def __init__(self, done: int) -> None:
        self.done = done

    def setup(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        """Before anything is loaded."""
        if trainer.world_size == 1:
            return
        ends = torch.tensor([self.done, -self.done], device=trainer.strategy.root_device)
        torch.distributed.all_reduce(ends, torch.distributed.ReduceOp.MAX)
        latest, earliest = int(ends[0]), -int(ends[1])
        if latest != earliest:
            raise NeuvaError(
                f"some processes go on after step {latest}, others after {earliest}: put the first machine's last.ckpt "
                "and config.json into the folder of each machine, or train into a folder that they share"
            )


class _Report(lightning.Callback):
    """Tells the run's steps, loss and validation CCC, and counts its seconds over all sessions."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self.progress, self.steps = progress, steps
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the run began, without the time it was stopped."""
        return time.perf_counter() - self.started

    def state_dict(self) -> dict[str, Any]:
        """Kept in every checkpoint."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Of the checkpoint a run goes on from."""
        self.started -= state_dict["seconds"]

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Log a resumed run under its true steps: Lightning counts one too many from a checkpoint on."""
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """After each step."""
        if self.progress is _silent:
            return
        shown = {key: trainer.callback_metrics.get(key) for key in ("loss", "val_ccc")}
        text = ", ".join(
            f"{key.replace('val_ccc', 'validation CCC')} {v:.2f}" for key, v in shown.items() if v is not None
        )
        self.progress(f"training: {text}", trainer.global_step, self.steps)


def _silent(*_: Any) -> None:
    """Progress of a process that another one speaks for."""


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
