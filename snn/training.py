"""Training as a Lightning module, and checkpoints that are safe to load."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from neuva import NeuvaError
from snn.losses import concordance_loss
from snn.memory import keep_heap
from snn.metrics import affect_metrics
from snn.networks import NetworkSpec, Recording, ValenceArousalNet, scale_to_rate

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""x [T, B, C, H, W], labels [T', B, 2], mask bool [T', B]."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    steps: optimiser steps; learning rate rises over the first 5 % and falls to 0 along a cosine.
    warm_up: estimates at the start of a window that are not scored, while the traces fill.
    mse_share: see `concordance_loss`. rate_weight: weight of the penalty that pulls each layer's mean
    rate (spikes a neuron and step) below `rate_limit`.
    """

    steps: int = 1000
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    warm_up: int = 10
    mse_share: float = 0.1
    rate_limit: float = 0.1
    rate_weight: float = 1.0
    start_rate: float = 0.08
    clip_norm: float = 1.0


class AffectTraining(lightning.LightningModule):
    """Fits a `ValenceArousalNet` to labelled windows of events by back-propagation through time."""

    def __init__(self, spec: dict[str, Any], recipe: dict[str, Any]) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = ValenceArousalNet(NetworkSpec.from_dict(spec))
        self.recipe = Recipe(**recipe)
        self._collected: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        keep_heap()

    @classmethod
    def fresh(cls, spec: NetworkSpec, recipe: Recipe, first: torch.Tensor) -> AffectTraining:
        """A new training whose layers fire at `recipe.start_rate` on the windows `first` [T, B, C, H, W]."""
        module = cls(spec.to_dict(), asdict(recipe))
        scale_to_rate(module.net, first, recipe.start_rate)
        return module

    def training_step(self, batch: Batch) -> torch.Tensor:
        """One step: concordance loss of the scored estimates and the rate penalty."""
        x, labels, mask = batch
        mask = mask.clone()
        mask[: self.recipe.warm_up] = False
        recording = Recording()
        estimates = self.net(x, recording)
        loss = concordance_loss(estimates, labels, mask, self.recipe.mse_share)
        penalty = torch.stack(
            [(spikes.mean() - self.recipe.rate_limit).clamp(min=0) for spikes in recording.spikes.values()]
        ).sum()
        self.log("loss", loss, prog_bar=True)
        return loss + self.recipe.rate_weight * penalty

    def validation_step(self, batch: Batch) -> None:
        """Collect whole clips; metrics are pooled at the end of the epoch."""
        x, labels, mask = batch
        estimates = self.net(x).clamp(-1, 1)
        self._collected.append(
            (
                estimates.flatten(0, 1).numpy(force=True),
                labels.flatten(0, 1).numpy(force=True),
                mask.flatten().numpy(force=True),
            )
        )

    def on_validation_epoch_end(self) -> None:
        """Log the pooled CCC."""
        prediction, target, mask = (np.concatenate(part) for part in zip(*self._collected, strict=True))
        self._collected.clear()
        metrics = affect_metrics(prediction, target, mask)
        self.log("val_ccc", metrics.ccc or 0.0, prog_bar=True)
        self.log("val_ccc_v", metrics.ccc_valence or 0.0, prog_bar=True)
        self.log("val_ccc_a", metrics.ccc_arousal or 0.0, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW with a one-cycle cosine."""
        weights = [parameter for parameter in self.net.parameters() if parameter.ndim > 1]
        rest = [parameter for parameter in self.net.parameters() if parameter.ndim <= 1]  # logits, biases
        groups = [{"params": weights, "weight_decay": self.recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.recipe.learning_rate, total_steps=self.recipe.steps + 1, pct_start=0.05
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def load_network(path: str | Path) -> ValenceArousalNet:
    """The network of a checkpoint, in evaluation mode. Nothing is unpickled but tensors and plain values.

    Raises:
        NeuvaError: if the file is missing or no checkpoint of ours.
    """
    path = Path(path)
    if not path.exists():
        raise NeuvaError(f"{path}: no such checkpoint: train one with `neuva train CONFIG.yaml`")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of an odd pickle before it refuses it
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        net = ValenceArousalNet(NetworkSpec.from_dict(checkpoint["hyper_parameters"]["spec"]))
        prefix = "net."
        net.load_state_dict(
            {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
        )
    except Exception as error:  # a damaged file makes torch raise almost anything
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NeuvaError(
            f"{path}: not a neuva checkpoint ({line}): train one with `neuva train CONFIG.yaml`"
        ) from error
    return net.eval()
