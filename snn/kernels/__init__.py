"""Runs a population of neurons over time with the fastest kernel the tensor's device has.

Every kernel computes `snn.neurons.define`, forward and gradient; which one runs is decided by where
the tensor lies, never by the caller.
"""

from __future__ import annotations

import importlib
from functools import cache
from importlib.util import find_spec
from types import ModuleType

import torch

from snn.neurons import Neuron, State, define


def run(
    neuron: Neuron, x: torch.Tensor, state: State | None = None, decays: torch.Tensor | None = None
) -> tuple[torch.Tensor, State]:
    """Spikes [T, B, ...] for the input current x [T, B, ...], and the state (u, v) after the last step.

    The equation is `Neuron`'s. State may be carried from call to call (streaming) with the result of one long call.
    On a GPU, float16 and bfloat16 currents give spikes of their type; the state is float32.

    Args:
        decays: [2], alpha and beta in place of the neuron's own, where they are learnt.
    """
    kernel = _kernel(x.device.type, x.dtype)
    return define(neuron, x, state, decays) if kernel is None else run_on(kernel, neuron, x, state, decays)


def run_on(
    kernel: ModuleType, neuron: Neuron, x: torch.Tensor, state: State | None = None, decays: torch.Tensor | None = None
) -> tuple[torch.Tensor, State]:
    """As `run`, with the kernel of this module: its `forward` and `backward` over [T, N]."""
    u, v = (None, None) if state is None else state
    spikes, u, v = _Population.apply(x, u, v, decays, neuron, kernel)
    return spikes, (u, v)


@cache
def _kernel(device: str, dtype: torch.dtype) -> ModuleType | None:
    """The module with the fused kernel for a device and type of number, if there is one."""
    if device == "cpu" and dtype in (torch.float32, torch.float64):
        return importlib.import_module("snn.kernels.cpu")
    if device == "cuda" and dtype in (torch.float32, torch.float16, torch.bfloat16) and find_spec("triton"):
        return importlib.import_module("snn.kernels.gpu")  # CUDA builds of torch bring Triton, others need none
    return None


class _Population(torch.autograd.Function):
    """One autograd node over all T. What is absent (None) is zero: filling it would cost as much as the kernel."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx,
        x: torch.Tensor,
        u0: torch.Tensor | None,
        v0: torch.Tensor | None,
        decays: torch.Tensor | None,
        neuron: Neuron,
        kernel: ModuleType,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        u0, v0 = _flat(u0), _flat(v0)
        spikes, u, v, membrane = kernel.forward(neuron, decays, x.contiguous().view(len(x), -1), u0, v0)
        ctx.save_for_backward(membrane, u0, v0, decays)
        ctx.set_materialize_grads(False)
        ctx.neuron, ctx.kernel, ctx.shape = neuron, kernel, x.shape
        return spikes.view(x.shape), u.view(x.shape[1:]), v.view(x.shape[1:])

    @staticmethod
    def backward(  # type: ignore[no-untyped-def]
        ctx, grad_spikes: torch.Tensor | None, grad_u: torch.Tensor | None, grad_v: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        membrane, u0, v0, decays = ctx.saved_tensors
        if grad_spikes is not None:
            grad_spikes = grad_spikes.contiguous().view(membrane.shape)
        grad_x, gu0, gv0, grad_decays = ctx.kernel.backward(
            ctx.neuron, decays, membrane, u0, v0, grad_spikes, _flat(grad_u), _flat(grad_v)
        )
        start = (
            part.view(ctx.shape[1:]) if needed else None
            for part, needed in zip((gu0, gv0), ctx.needs_input_grad[1:3], strict=True)
        )
        return grad_x.view(ctx.shape), *start, grad_decays, None, None


def _flat(part: torch.Tensor | None) -> torch.Tensor | None:
    """A population's values [N], row after row."""
    return None if part is None else part.contiguous().view(-1)
