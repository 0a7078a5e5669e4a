"""SEEN's neuron, with its membrane and the gradient through its reset."""

from __future__ import annotations

import torch

from snn import kernels
from snn.neurons import Neuron

NEURON = Neuron(beta=0.2, threshold=0.3, reset="zero", surrogate="rectangular", width=1.0)
"""Decay, threshold, hard reset, and a surrogate of 1 where |v - 0.3| < 0.5, else 0 (Zhang et al. 2023)."""


def lif(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes and membranes before reset, each [T, B, ...], for the input current x of that shape, from zero state.

        v[t] = 0.2 v[t-1] (1 - s[t-1]) + x[t];   s[t] = [v[t] >= 0.3]

    The forward pass is `snn.kernels.run`'s of `NEURON`, and each spike is its: a population's first step from zero.
    Two things it does not give: the membrane before reset, which SEEN puts out, and the gradient that flows
    through s into the reset, which spatio-temporal back-propagation (Wu et al. 2018) and the published code keep.
    The paper fires at v >= 0.3, its code above 0.3: the paper's is taken, as it is `Neuron`'s.
    """
    v = s = torch.zeros_like(x[0])
    spikes, membranes = [], []
    for current in x.unbind(0):
        v = NEURON.beta * v * (1 - s) + current
        s = kernels.run(NEURON, v[None])[0][0]
        spikes.append(s)
        membranes.append(v)
    return torch.stack(spikes), torch.stack(membranes)
