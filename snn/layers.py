"""Layers over time: tensors are [T, B, C, H, W]; time is folded into the batch for the synapses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from neuva import NeuvaError
from snn import kernels
from snn.kernels.spike_conv import convolve
from snn.neurons import Neuron, State

LEAST_DECAY, MOST_DECAY = 1 / 4096, 4095 / 4096
"""Bounds of a learnt decay: the ends of a 12-bit grid, so that rounding to it moves no decay by more than 1 / 8192."""


class Spiking(nn.Module):
    """A synapse (convolution or linear map) onto a population, then sum-pooling of its spikes.

    spikes = pool(neuron(synapse(x))), x [T, B, C, H, W]; a linear synapse sees [C * H * W] and gives [N, 1, 1].

    Args:
        synapse: nn.Conv2d or nn.Linear.
        neuron: the population's equation and constants.
        pool: side of the square window whose spikes are added (1: none).
        learn: which of the neuron's decays ("alpha", "beta") are learnt, through their logits; one number a population,
            within `LEAST_DECAY` and `MOST_DECAY`.

    Raises:
        NeuvaError: if a decay to be learnt does not start inside (0, 1).
    """

    def __init__(
        self, synapse: nn.Conv2d | nn.Linear, neuron: Neuron, pool: int = 1, learn: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.synapse, self.pool, self._neuron = synapse, pool, neuron
        self.logits = nn.ParameterDict()
        for name in learn:
            start = getattr(neuron, name)
            if not 0 < start < 1:
                raise NeuvaError(f"{name} = {start} cannot be learnt: start it between 0 and 1, or leave it fixed")
            self.logits[name] = nn.Parameter(torch.logit(torch.tensor(start)))

    @property
    def neuron(self) -> Neuron:
        """The population's equation, with the decays as they are now."""
        learnt: dict[str, Any] = {name: _decay(logit).item() for name, logit in self.logits.items()}
        return replace(self._neuron, **learnt)

    @property
    def decays(self) -> torch.Tensor | None:
        """[2], alpha and beta, None where neither is learnt."""
        if not self.logits:
            return None
        like = next(iter(self.logits.values()))
        fixed = {name: like.new_tensor(getattr(self._neuron, name)) for name in ("alpha", "beta")}
        learnt = {name: _decay(logit) for name, logit in self.logits.items()}
        return torch.stack(list({**fixed, **learnt}.values()))

    def current(self, x: torch.Tensor) -> torch.Tensor:
        """Input current [T, B, C, H, W] of the population, all steps in one call."""
        steps, batch = x.shape[:2]
        folded = x.flatten(0, 1)
        if isinstance(self.synapse, nn.Linear):
            out = self.synapse(folded.flatten(1))[..., None, None]
        else:
            out = convolve(self.synapse, folded)
        return out.unflatten(0, (steps, batch))

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Sent spikes [T, B, C', H', W'] and the state after the last step."""
        spikes, state = self.fire(self.current(x), state)
        return self.send(spikes), state

    def fire(self, current: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Spikes of the population for its input current, and the state (channels last, [B, H, W, C])."""
        # the convolution gives channels-last memory; neurons are elementwise, so they run in that order
        spikes, state = kernels.run(self._neuron, current.movedim(2, -1), state, self.decays)
        return spikes.movedim(-1, 2), state

    def send(self, spikes: torch.Tensor) -> torch.Tensor:
        """Spikes after sum-pooling."""
        if self.pool == 1:
            return spikes
        pooled = nn.functional.avg_pool2d(spikes.flatten(0, 1), self.pool) * self.pool**2
        return pooled.unflatten(0, spikes.shape[:2])


class TraceReadout(nn.Module):
    """Valence and arousal, or other outputs, as a linear map of leaky traces of a population's spikes.

    r[t] = decay r[t-1] + s[t];  y[t] = W r[t] + b

    given at the end of every `every` steps. Because the map is linear it is applied first and its few
    outputs are filtered. decay is learnt through its logit. All of it is of the weights' type, under autocast too.

    Args:
        inputs: size of the population.
        decay: start value of the decay per step, in (0, 1).
        every: steps per estimate.
        outputs: how many.
    """

    def __init__(self, inputs: int, decay: float, every: int, outputs: int = 2) -> None:
        super().__init__()
        self.map = nn.Linear(inputs, outputs)
        self.logit = nn.Parameter(torch.logit(torch.tensor(decay)))
        self.every = every
        nn.init.normal_(self.map.weight, std=0.1 * (1 - decay))
        nn.init.zeros_(self.map.bias)

    @property
    def decay(self) -> torch.Tensor:
        """Decay of the traces per step."""
        return torch.sigmoid(self.logit)

    def forward(self, spikes: torch.Tensor, trace: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimates [T // every, B, K] from spikes [T, B, N], and the mapped trace [B, K] to go on from."""
        with torch.autocast(spikes.device.type, enabled=False):
            drive = nn.functional.linear(spikes.to(self.map.weight.dtype), self.map.weight)
        trace = torch.zeros_like(drive[0]) if trace is None else trace
        outputs = []
        for row in drive.unbind(0):
            trace = self.decay * trace + row
            outputs.append(trace)
        return torch.stack(outputs[self.every - 1 :: self.every]) + self.map.bias, trace


def _decay(logit: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(logit).clamp(LEAST_DECAY, MOST_DECAY)
