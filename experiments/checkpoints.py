"""What a training keeps: its best and its newest checkpoint, whole whenever it is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from neuva import atomic_path


class Best(ModelCheckpoint):
    """Keeps the checkpoint of the highest validation CCC after step `since`."""

    def __init__(self, out: Path, since: int) -> None:
        super().__init__(
            out, "best", monitor="val_ccc", mode="max", save_on_train_epoch_end=False, enable_version_counter=False
        )
        self.since = since

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """After each validation."""
        if trainer.global_step > self.since:
            super().on_validation_end(trainer, pl_module)


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
    """Optimiser steps before a checkpoint was saved."""
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
