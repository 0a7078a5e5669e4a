"""Runs a network over a window for training, or over a whole clip: in one go, or in stretches that save memory."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from snn.building import AffectNet
from snn.networks import Recording

STRETCH = 512
"""Steps of a clip that `estimate` takes at a time, about: 10 s of 20 ms steps."""

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


@torch.no_grad()
def estimate(net: AffectNet, x: torch.Tensor, stretch: int = STRETCH) -> torch.Tensor:
    """Estimates [T // every, B, 2], within [-1, 1], of whole clips x [T, B, C, H, W], integers or floats.

    Memory follows `stretch`, not the clips' length; the result is that of one long call, but for rounding.
    """
    steps = max(stretch - stretch % net.spec.every, net.spec.every)
    dtype = next(net.parameters()).dtype
    state: Any = None
    found = []
    for start in range(0, len(x), steps):
        part, state = net.stream(x[start : start + steps].to(dtype), state)
        found.append(part.clamp(-1, 1))
    return torch.cat(found)


def _stretch(net: AffectNet, x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any, Rates]:
    """Only rates leave a stretch, not spikes: these are what would fill the memory."""
    recording = Recording()
    estimates, state = net.stream(x, state, recording)
    rates = {name: spikes.mean((0, 1), dtype=_exact(spikes)) for name, spikes in recording.spikes.items()}
    return estimates, state, rates


def _exact(x: torch.Tensor) -> torch.dtype:
    """Half precision cannot count to 1000."""
    return torch.promote_types(x.dtype, torch.float32)
