"""Whether a network would fit its chip, asked before hours of training are spent on it."""

from __future__ import annotations

import logging

import torch

from conversion import loihi, speck
from experiments.config import TrainConfig
from hardware.check import check
from neuva import NeuvaError
from snn.networks import NetworkSpec, ValenceArousalNet

WINDOWS, ESTIMATES = 2, 2
"""Windows, and estimates of each, that scales are calibrated on: enough for a network that has learnt nothing yet."""

DEFAULT_CHIPS = {"loihi": "loihi2", "speck": "speck2f"}

log = logging.getLogger(__name__)


def chip_of(config: TrainConfig) -> str | None:
    """The chip a configuration trains for: as `chip_aware` names it, else the target's usual one; None for no chip."""
    if config.chip_aware is not None:
        return config.chip_aware.target
    return DEFAULT_CHIPS.get(config.network.target) if isinstance(config.network, NetworkSpec) else None


def require_fit(net: ValenceArousalNet, chip: str, x: torch.Tensor) -> None:
    """Lower the untrained network for the chip, place it, and refuse it if it breaks a rule; warnings are logged.

    Args:
        x: windows to calibrate on, [T, B, C, H, W].

    Raises:
        NeuvaError: every rule that is broken, each with where, measured, allowed and the cure, then what would fit.
    """
    lower = loihi.lower if chip.startswith("loihi") else speck.lower
    try:
        found = check(lower(net, chip, x[: ESTIMATES * net.spec.every, :WINDOWS]))
    except NeuvaError as error:
        raise NeuvaError(f"this network cannot be put on {chip}, so it is not trained: {error}") from error
    if not found.fits:
        errors = "; ".join(str(finding) for finding in found.findings if finding.severity == "error")
        advice = "".join(f"; {each}" for each in found.advice)
        raise NeuvaError(f"this network does not fit {chip}, so it is not trained: {errors}{advice}")
    for finding in found.findings:
        log.info("%s: %s", chip, finding)
