"""Runs a population of neurons over time with the fastest kernel the tensor's device has.

Every kernel computes `snn.neurons.define`, forward and gradient; which one runs is decided by where
the tensor lies, never by the caller.
"""

from __future__ import annotations

import numpy as np
import torch

from snn.kernels import cpu
from snn.neurons import Neuron, State, define
from snn.surrogates import SURROGATES


def run(
    neuron: Neuron, x: torch.Tensor, state: State | None = None, decays: torch.Tensor | None = None
) -> tuple[torch.Tensor, State]:
    """Spikes [T, B, ...] for the input current x [T, B, ...], and the state (u, v) after the last step.

    The equation is `Neuron`'s. State may be carried from call to call (streaming) with the result of one long call.

    Args:
        decays: [2], alpha and beta in place of the neuron's own, where they are learnt.
    """
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        return define(neuron, x, state, decays)
    u, v = (None, None) if state is None else state
    spikes, u, v = _CpuKernel.apply(x, u, v, decays, neuron)
    return spikes, (u, v)


class _CpuKernel(torch.autograd.Function):
    """One autograd node over all T. What is absent (None) is zero: filling it would cost as much as the kernel."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx,
        x: torch.Tensor,
        u0: torch.Tensor | None,
        v0: torch.Tensor | None,
        decays: torch.Tensor | None,
        neuron: Neuron,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        flat = x.detach().contiguous().view(len(x), -1)
        membrane, spikes = torch.empty_like(flat), torch.empty_like(flat)
        u, v = torch.empty_like(flat[0]), torch.empty_like(flat[0])
        begin = _array(u0, flat), _array(v0, flat)
        constants = _constants(neuron, decays, flat)
        outputs = (part.numpy() for part in (u, v, membrane, spikes))
        cpu.forward(flat.numpy(), *begin, *constants, *outputs)
        ctx.save_for_backward(membrane)
        ctx.set_materialize_grads(False)
        ctx.neuron, ctx.constants, ctx.shape, ctx.begin = neuron, constants, x.shape, begin
        return spikes.view(x.shape), u.view(x.shape[1:]), v.view(x.shape[1:])

    @staticmethod
    def backward(  # type: ignore[no-untyped-def]
        ctx, grad_spikes: torch.Tensor | None, grad_u: torch.Tensor | None, grad_v: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        (membrane,) = ctx.saved_tensors
        end = _array(grad_u, membrane), _array(grad_v, membrane)
        grad_x, gu, gv = torch.empty_like(membrane), torch.empty_like(membrane[0]), torch.empty_like(membrane[0])
        grad_spikes = torch.zeros_like(membrane) if grad_spikes is None else grad_spikes.contiguous()
        cpu.backward(  # type: ignore[call-arg]
            grad_spikes.view(membrane.shape).numpy(),
            *end,
            membrane.numpy(),
            *ctx.constants,
            SURROGATES.index(ctx.neuron.surrogate),
            membrane.numpy().dtype.type(ctx.neuron.width),
            *(part.numpy() for part in (gu, gv, grad_x)),
        )
        grad_decays = None
        if ctx.needs_input_grad[3]:
            sums = cpu.decay_gradients(grad_x.numpy(), membrane.numpy(), *ctx.begin, *ctx.constants, end[0])  # type: ignore[call-arg]
            grad_decays = torch.from_numpy(sums).to(grad_x.dtype)
        start = (
            part.view(ctx.shape[1:]) if needed else None
            for part, needed in zip((gu, gv), ctx.needs_input_grad[1:3], strict=True)
        )
        return grad_x.view(ctx.shape), *start, grad_decays, None


def _array(part: torch.Tensor | None, like: torch.Tensor) -> np.ndarray:
    """A population's values as a flat array, empty for none."""
    return like.new_empty(0).numpy() if part is None else part.detach().contiguous().view(-1).numpy()


def _constants(neuron: Neuron, decays: torch.Tensor | None, like: torch.Tensor) -> tuple:
    """alpha, beta, threshold, zero reset, low, multi spike: in the tensor's own precision, as torch rounds them."""
    number = like.numpy().dtype.type
    pair = (neuron.alpha, neuron.beta) if decays is None else decays.detach().tolist()
    low = -np.inf if neuron.low is None else neuron.low
    return *map(number, (*pair, neuron.threshold)), neuron.reset == "zero", number(low), neuron.multi_spike
