"""Training as a Lightning module, and checkpoints that are safe to load."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from neuva import NeuvaError, SettingError
from snn.building import AffectNet, AffectSpec, build_network, require_spiking, spec_from_dict
from snn.losses import concordance_loss
from snn.memory import keep_heap
from snn.metrics import affect_metrics
from snn.networks import ValenceArousalNet, scale_to_rate
from snn.processes import mean
from snn.regularisers import excess_rate, over_budget, silence, synaptic_operations
from snn.unrolling import Rates, estimate, unroll

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""x [T, B, C, H, W], labels [T', B, 2], mask bool [T', B]."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    steps: optimiser steps, at least 1; the learning rate follows `one_cycle`.
    warm_up: estimates at the start of a window that are not scored, while the traces fill.
    mse_share: see `concordance_loss`.
    start_rate: spikes a neuron and step, above 0, that each layer's first weights are scaled to.
    clip_norm: of the gradient; 0: off.

    Penalties on a spiking network (`snn.regularisers`), each with its weight:
    rate_limit: spikes a neuron and step that a layer's mean is to stay below.
    rate_floor: spikes a neuron and step that every neuron is to reach; 0: none.
    synops_budget: synaptic operations that an estimate is to stay below; 0: none.

    checkpoint_steps, truncate_steps: see `snn.unrolling.unroll`; 0: off.

    Raises:
        NeuvaError: if a constant is outside its range.
    """

    steps: int = 1000
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    warm_up: int = 10
    mse_share: float = 0.1
    start_rate: float = 0.08
    clip_norm: float = 1.0
    rate_limit: float = 0.1
    rate_weight: float = 1.0
    rate_floor: float = 0.0
    silence_weight: float = 0.1
    synops_budget: float = 0.0
    synops_weight: float = 0.1
    checkpoint_steps: int = 0
    truncate_steps: int = 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value < math.inf:
                raise SettingError(f"recipe.{name} = {value} must be finite and not below 0")
        if self.mse_share > 1:
            raise SettingError(f"recipe.mse_share = {self.mse_share} must be at most 1: it is a share of the loss")
        if self.steps < 1 or self.start_rate == 0:
            raise SettingError(f"recipe.steps = {self.steps} and start_rate = {self.start_rate} must be above 0")
        if self.checkpoint_steps and self.truncate_steps % self.checkpoint_steps:
            raise SettingError(
                f"recipe.truncate_steps = {self.truncate_steps} must be a multiple of checkpoint_steps = "
                f"{self.checkpoint_steps}: the gradient can be cut only between stretches"
            )


def require_rhythm(recipe: Recipe, every: int) -> None:
    """Refuse stretches that would break an estimate in two.

    Raises:
        NeuvaError: if a stretch of the recipe is no multiple of the network's steps per estimate.
    """
    for name in ("checkpoint_steps", "truncate_steps"):
        if (steps := getattr(recipe, name)) % every:
            raise SettingError(
                f"recipe.{name} = {steps} must be a multiple of network.every = {every}, "
                "so that estimates keep their rhythm"
            )


def one_cycle(step: int, steps: int) -> float:
    """Share of the learning rate at an optimiser step: from 1 / 25 up to 1 over the first 5 %, then down to 0.

    Both ways are half a cosine, as torch's OneCycleLR goes (Smith and Topin 2017, arXiv 1708.07120), from 1 step on and
    without its cycle of momentum: Adam's betas stay as they are.
    """
    top = max(0.05 * (steps + 1) - 1, 0.0)
    if step < top:
        return 1 - 0.96 * _cosine(step / top)
    return _cosine((step - top) / (steps - top))


def _cosine(part: float) -> float:
    """Half a wave from 1 at 0 to 0 at 1."""
    return (1 + math.cos(math.pi * part)) / 2


class AffectTraining(lightning.LightningModule):
    """Fits a network to labelled windows of events by back-propagation through time.

    Attributes:
        half_precision: convolutions and linear maps multiply in bfloat16; weights, neurons' states, traces, estimates,
            losses and metrics stay float32.

    Raises:
        NeuvaError: if a stretch of the recipe is no multiple of the network's steps per estimate; while it trains, if
            the loss or an estimate is no finite number.
    """

    def __init__(self, spec: dict[str, Any], recipe: dict[str, Any], half_precision: bool = False) -> None:
        super().__init__()
        self.save_hyperparameters("spec", "recipe")
        self.net, self.half_precision = build_network(spec_from_dict(spec)), half_precision
        self.recipe = Recipe(**recipe)
        require_rhythm(self.recipe, self.net.spec.every)
        self._collected: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        keep_heap()

    @classmethod
    def fresh(
        cls, spec: AffectSpec, recipe: Recipe, first: torch.Tensor, half_precision: bool = False
    ) -> AffectTraining:
        """A new training whose spiking layers fire at `recipe.start_rate` on the windows `first` [T, B, C, H, W]."""
        module = cls(spec.to_dict(), asdict(recipe), half_precision)
        if isinstance(module.net, ValenceArousalNet):
            scale_to_rate(module.net, first, recipe.start_rate)
        return module

    def training_step(self, batch: Batch) -> torch.Tensor:
        """One step: concordance loss of the scored estimates, and a spiking network's penalties."""
        x, labels, mask = batch
        mask = mask.clone()
        mask[: self.recipe.warm_up] = False
        with self._autocast(x):
            estimates, rates = unroll(self.net, x, self.recipe.checkpoint_steps, self.recipe.truncate_steps)
        loss = concordance_loss(estimates, labels, mask, self.recipe.mse_share)
        self.log("loss", loss, prog_bar=True)
        if isinstance(self.net, ValenceArousalNet):
            loss = loss + self._penalty(self.net, x, rates)
        if not loss.isfinite():
            raise NeuvaError(
                f"step {self.global_step + 1} of {self.recipe.steps}: the loss is {loss.item()}: training has "
                "diverged; earlier saves are whole: train again with a smaller recipe.learning_rate or clip_norm"
            )
        return loss

    def _autocast(self, x: torch.Tensor) -> torch.autocast:
        return torch.autocast(x.device.type, torch.bfloat16, enabled=self.half_precision)

    def _penalty(self, net: ValenceArousalNet, x: torch.Tensor, rates: Rates) -> torch.Tensor:
        recipe = self.recipe
        rates = {name: mean(rate) for name, rate in rates.items()}
        penalty = recipe.rate_weight * excess_rate(rates, recipe.rate_limit)
        if recipe.rate_floor:
            penalty = penalty + recipe.silence_weight * silence(rates, recipe.rate_floor)
        if recipe.synops_budget:
            operations = synaptic_operations(net, x, rates)
            self.log("synops", operations)
            penalty = penalty + recipe.synops_weight * over_budget(operations, recipe.synops_budget)
        return penalty

    def validation_step(self, batch: Batch) -> None:
        """Collect whole clips; metrics are pooled at the end of the epoch."""
        x, labels, mask = batch
        with self._autocast(x):
            estimates = estimate(self.net, x)
        self._collected.append(
            (
                estimates.flatten(0, 1).numpy(force=True),
                labels.flatten(0, 1).numpy(force=True),
                mask.flatten().numpy(force=True),
            )
        )

    def on_validation_epoch_end(self) -> None:
        """Log the pooled CCC, of the dimensions whose labels vary."""
        prediction, target, mask = (np.concatenate(part) for part in zip(*self._collected, strict=True))
        self._collected.clear()
        metrics = affect_metrics(prediction, target, mask)
        known = {"v": metrics.ccc_valence, "a": metrics.ccc_arousal}
        found = {dimension: ccc for dimension, ccc in known.items() if ccc is not None}  # None: labels that never vary
        self.log("val_ccc", sum(found.values()) / max(len(found), 1), prog_bar=True)
        for dimension in known:
            self.log(f"val_ccc_{dimension}", found.get(dimension, 0.0), prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate follows `one_cycle`."""
        weights = [parameter for parameter in self.net.parameters() if parameter.ndim > 1]
        rest = [parameter for parameter in self.net.parameters() if parameter.ndim <= 1]  # logits, biases
        groups = [{"params": weights, "weight_decay": self.recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.recipe.learning_rate, fused=True)
        steps = self.recipe.steps
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def load_network(path: str | Path) -> AffectNet:
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
        net = build_network(spec_from_dict(checkpoint["hyper_parameters"]["spec"]))
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


def load_spiking(path: str | Path) -> ValenceArousalNet:
    """As `load_network`, for what only a spiking network can be used for.

    Raises:
        NeuvaError: also if the checkpoint's network does not spike.
    """
    net = load_network(path)
    try:
        return require_spiking(net)
    except NeuvaError as error:
        raise NeuvaError(f"{path}: {error}") from error
