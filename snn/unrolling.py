"""Runs a network over a window for training: in one go, or in stretches that save memory or cut the gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from snn.building import AffectNet
from snn.networks import Recording

Rates = dict[str, torch.Tensor]
"""Mean spikes a neuron and step, [C, H, W] a population, with gradient."""


def unroll(
    net: AffectNet, x: torch.Tensor, checkpoint_steps: int = 0, truncate_steps: int = 0
) -> tuple[torch.Tensor, Rates]:
    """Estimates [T // every, B, 2] for x [T, B, C, H, W] from zero state, and the populations' rates.

    Whatever the stretches, the forward result is that of one long call, but for rounding.

    Args:
        checkpoint_steps: of each stretch of so many steps only the state is kept, and the rest is computed again for
            the gradient (Chen et al. 2016), which is the same; 0: everything is kept.
        truncate_steps: the gradient does not flow back over the ends of stretches of so many steps (truncated
            back-propagation through time, Williams and Peng 1990), a multiple of checkpoint_steps; 0: it does.

    Both are multiples of the network's `every`.
    """
    stretch = checkpoint_steps or truncate_steps or len(x)
    state: Any = None
    estimates, rates = [], dict[str, torch.Tensor]()
    for start in range(0, len(x), stretch):
        if start and truncate_steps and start % truncate_steps == 0:
            state = state.detach()
        part = x[start : start + stretch]
        if checkpoint_steps:
            found, state, seen = checkpoint(_stretch, net, part, state, use_reentrant=False)
        else:
            found, state, seen = _stretch(net, part, state)
        estimates.append(found)
        share = len(part) / len(x)
        rates = {name: rates.get(name, 0) + share * rate for name, rate in seen.items()}
    return torch.cat(estimates), rates


def _stretch(net: AffectNet, x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any, Rates]:
    """Only rates leave a stretch, not spikes: these are what would fill the memory."""
    recording = Recording()
    estimates, state = net.stream(x, state, recording)
    return estimates, state, {name: spikes.mean((0, 1)) for name, spikes in recording.spikes.items()}
