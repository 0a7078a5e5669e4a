"""What a training keeps: its best and its newest checkpoint, whole whenever it is killed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from neuva import NeuvaError, atomic_path


class Best(ModelCheckpoint):
    """Keeps the checkpoint of the highest validation CCC after step `since`."""

    def __init__(self, out: Path, since: int) -> None:
        super().__init__(
            out, "best", monitor="val_ccc", mode="max", save_on_train_epoch_end=False, enable_version_counter=False
        )
        self.since = since

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Also where the folder has been moved since: Lightning would forget the best score so far."""
        super().load_state_dict({**state_dict, "dirpath": self.dirpath})

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """After each validation."""
        if trainer.global_step > self.since:
            super().on_validation_end(trainer, pl_module)


class LastStep(lightning.Callback):
    """Has the last step validated and saved also where it does not end a part of the run."""

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """After each step."""
        if trainer.global_step >= trainer.max_steps:
            trainer.should_stop = True  # Lightning validates before it stops, but not where it merely runs out of steps


class SafeCheckpoints(TorchCheckpointIO):
    """A kill while saving leaves the checkpoint before it as it was."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write under another name, then rename."""
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)


def newest(out: Path) -> ModelCheckpoint:
    """Keeps the newest checkpoint."""
    return ModelCheckpoint(out, "last", every_n_epochs=1, enable_version_counter=False)


def steps_done(checkpoint: Path) -> int:
    """Optimiser steps before a checkpoint was saved.

    Raises:
        NeuvaError: if the file is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of an odd pickle before it refuses it
            return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
    except Exception as error:  # a damaged file makes torch raise almost anything
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NeuvaError(f"{checkpoint}: damaged ({line}): train without --resume, from the beginning") from error
