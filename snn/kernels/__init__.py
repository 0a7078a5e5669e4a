"""Runs a population of neurons over time with the fastest kernel the tensor's device has.

Every kernel computes `snn.neurons.define`, forward and gradient; which one runs is decided by where
the tensor lies, never by the caller.
"""

from __future__ import annotations

import numpy as np
import torch

from snn.kernels import cpu
from snn.neurons import Neuron, State, define, initial_state
from snn.surrogates import SURROGATES


def run(neuron: Neuron, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
    """Spikes [T, B, ...] for the input current x [T, B, ...], and the state (u, v) after the last step.

    The equation is `Neuron`'s. State may be carried from call to call (streaming) with the result of one long call.
    """
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        return define(neuron, x, state)
    u, v = initial_state(x) if state is None else state
    spikes, u, v = _CpuKernel.apply(x, u, v, neuron)
    return spikes, (u, v)


class _CpuKernel(torch.autograd.Function):
    """One autograd node over all T."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor, neuron: Neuron
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        flat = x.detach().contiguous().view(len(x), -1)
        u, v = u.detach().clone(), v.detach().clone()
        membrane, spikes = torch.empty_like(flat), torch.empty_like(flat)
        number = flat.numpy().dtype.type  # constants in the tensor's own precision, as torch rounds them
        low = -np.inf if neuron.low is None else neuron.low
        constants = (number(neuron.alpha), number(neuron.beta), number(neuron.threshold))
        cpu.forward(
            flat.numpy(),
            u.view(-1).numpy(),
            v.view(-1).numpy(),
            *constants,
            neuron.reset == "zero",
            number(low),
            neuron.multi_spike,
            membrane.numpy(),
            spikes.numpy(),
        )
        ctx.save_for_backward(membrane, spikes)
        ctx.neuron, ctx.constants, ctx.low, ctx.shape = neuron, constants, number(low), x.shape
        return spikes.view(x.shape), u, v

    @staticmethod
    def backward(  # type: ignore[no-untyped-def]
        ctx, grad_spikes: torch.Tensor, grad_u: torch.Tensor, grad_v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        membrane, spikes = ctx.saved_tensors
        neuron: Neuron = ctx.neuron
        gu, gv = grad_u.contiguous().clone(), grad_v.contiguous().clone()
        grad_x = torch.empty_like(membrane)
        cpu.backward(  # type: ignore[call-arg]
            grad_spikes.contiguous().view(membrane.shape).numpy(),
            membrane.numpy(),
            spikes.numpy(),
            *ctx.constants,
            neuron.reset == "zero",
            ctx.low,
            neuron.multi_spike,
            SURROGATES.index(neuron.surrogate),
            membrane.numpy().dtype.type(neuron.width),
            gu.view(-1).numpy(),
            gv.view(-1).numpy(),
            grad_x.numpy(),
        )
        return grad_x.view(ctx.shape), gu, gv, None
