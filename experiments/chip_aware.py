"""Trains the last part of a run with the numbers that the chip will have."""

from __future__ import annotations

from typing import Any, cast

import lightning
import torch

from conversion import chip_aware
from hardware.program import CHIPS
from neuva import NeuvaError
from snn.building import require_spiking
from snn.networks import ValenceArousalNet
from snn.training import AffectTraining, Batch


def begins_after(steps: int, last: float) -> int:
    """Steps of a run before the last share of them, in (0, 1], begins."""
    return int(steps * (1 - last))


class ChipAware(lightning.Callback):
    """Attaches the network to a chip for the last share of the optimiser's steps (`conversion.chip_aware`).

    Scales are chosen on the batch of the first such step, the same on all processes. From there on checkpoints hold
    the weights as the chip will have them, under the names of a plain network. The float weights below stand in the
    callback's own state, so that a stopped run goes on as if it had not stopped. Nothing is multiplied in half
    precision any more: bfloat16 holds whole numbers up to 256, the chip's sums are larger.

    Args:
        target: the chip, a key of `hardware.program.CHIPS`.
        last: share of the run's steps, in (0, 1].

    Raises:
        NeuvaError: for an unknown target or a share outside its range.
    """

    def __init__(self, target: str, last: float) -> None:
        if target not in CHIPS:
            raise NeuvaError(f'chip_aware.target "{target}" is unknown: choose one of {", ".join(CHIPS)}')
        if not 0 < last <= 1:
            raise NeuvaError(f"chip_aware.last = {last} must be above 0 and at most 1: it is a share of the steps")
        self.target, self.last = target, last
        self._scales: tuple[float, ...] = ()
        self._raw: dict[str, torch.Tensor] = {}

    def on_train_start(self, _: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Go on attached where a checkpoint was."""
        if self._scales:
            net = _net(pl_module)
            net.load_state_dict(self._raw)
            self._attach(pl_module)
            self._raw = {}

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Batch, _: int
    ) -> None:
        """Attach when the share begins."""
        if self._scales or trainer.global_step < begins_after(trainer.max_steps, self.last):
            return
        chosen = chip_aware.choose_scales(_net(pl_module), self.target, batch[0])
        self._scales = trainer.strategy.broadcast(chosen)
        self._attach(pl_module)

    def _attach(self, module: lightning.LightningModule) -> None:
        chip_aware.attach(_net(module), self.target, self._scales)
        cast("AffectTraining", module).half_precision = False

    def on_train_end(self, _: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave a plain network whose weights lie on the chip's grid."""
        chip_aware.remove(_net(pl_module))

    def on_save_checkpoint(
        self, _: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the plain network into the checkpoint, and what training goes on from beside it."""
        net = _net(pl_module)
        if not chip_aware.is_attached(net):
            return
        checkpoint["state_dict"] = {f"net.{key}": value for key, value in chip_aware.plain_state(net).items()}
        checkpoint["callbacks"][self.state_key] = {"scales": list(self._scales), "raw": chip_aware.raw_state(net)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What `on_save_checkpoint` put in."""
        self._scales, self._raw = tuple(state_dict["scales"]), state_dict["raw"]


def _net(module: lightning.LightningModule) -> ValenceArousalNet:
    return require_spiking(module.net)  # type: ignore[arg-type]
