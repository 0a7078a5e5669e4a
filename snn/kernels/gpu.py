"""Fused kernels for the GPU, in Triton: all T steps of a population in one launch, forward and backward.

They compute `snn.neurons.define` (IEEE operations in the same order, none fused, so spikes are equal to the bit).
A program takes a block of neurons through time with their state in registers, in float32 also where the tensors
are float16 or bfloat16; what is kept for the backward pass is the membrane before reset, in float32 too, so that
it fires there as it did. Every choice between equations is made when the kernel is compiled.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl

from snn.neurons import Neuron
from snn.surrogates import SURROGATES

BLOCK = 128
"""Neurons a program works on: one warp of 32 threads, each moving 4 neighbours at once."""
STAGES = 4
"""Steps whose loads are on their way at a time: the recurrence waits for no memory."""
PI = tl.constexpr(math.pi)


def forward(
    neuron: Neuron, decays: torch.Tensor | None, x: torch.Tensor, u0: torch.Tensor | None, v0: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Spikes [T, N] of x [T, N], the state u, v [N] after the last step and the membranes before reset [T, N].

    u0, v0: the state before the first step, [N], or None for zero.
    """
    spikes, membrane = torch.empty_like(x), torch.empty_like(x, dtype=torch.float32)
    u, v = torch.empty_like(membrane[0]), torch.empty_like(membrane[0])
    with torch.cuda.device_of(x):  # Triton launches on the current device
        _forward[_grid(x)](x, u0, v0, decays, u, v, membrane, spikes, *x.shape, **_scalars(neuron), **_launch(neuron))
    return spikes, u, v, membrane


def backward(
    neuron: Neuron,
    decays: torch.Tensor | None,
    membrane: torch.Tensor,
    u0: torch.Tensor | None,
    v0: torch.Tensor | None,
    grad_spikes: torch.Tensor | None,
    gu: torch.Tensor | None,
    gv: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Gradients of x [T, N] of u0 and v0 [N] and of the decays [2], from those of what `forward` gave.

    grad_spikes [T, N], gu, gv [N]: None for zero.
    """
    grad_x = torch.empty_like(membrane if grad_spikes is None else grad_spikes)
    gu0, gv0 = torch.empty_like(membrane[0]), torch.empty_like(membrane[0])
    # a sum a program, added up afterwards: atomics would add in another order each time
    sums = None if decays is None else membrane.new_empty(2, *_grid(membrane))
    with torch.cuda.device_of(membrane):
        _backward[_grid(membrane)](
            *(grad_spikes, gu, gv, membrane, u0, v0, decays, gu0, gv0, grad_x, sums),
            *membrane.shape,
            width=neuron.width,
            SURROGATE=SURROGATES.index(neuron.surrogate),
            **_scalars(neuron),
            **_launch(neuron),
        )
    return grad_x, gu0, gv0, None if sums is None else sums.sum(1, dtype=torch.float64)


def _grid(x: torch.Tensor) -> tuple[int]:
    return (triton.cdiv(x.shape[1], BLOCK),)


def _scalars(neuron: Neuron) -> dict[str, float]:
    low = -math.inf if neuron.low is None else neuron.low
    return {"alpha": neuron.alpha, "beta": neuron.beta, "threshold": neuron.threshold, "low": low}


def _launch(neuron: Neuron) -> dict[str, Any]:
    """The neuron's choices, and how to compile: products and sums stay apart, as in the definition."""
    choices = {"ZERO_RESET": neuron.reset == "zero", "MULTI_SPIKE": neuron.multi_spike}
    return {**choices, "BLOCK": BLOCK, "STAGES": STAGES, "num_warps": 1, "enable_fp_fusion": False}


@triton.jit
def _forward(  # type: ignore[no-untyped-def]
    x,
    u0,
    v0,
    decays,
    u,
    v,
    membrane,
    spikes,
    steps,
    neurons: tl.int64,  # offsets grow to steps * neurons, beyond 32 bits
    alpha,
    beta,
    threshold,
    low,
    ZERO_RESET: tl.constexpr,
    MULTI_SPIKE: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    ok = i < neurons
    if decays is not None:
        alpha, beta = tl.load(decays).to(tl.float32), tl.load(decays + 1).to(tl.float32)
    un, vn = _state(u0, i, ok, BLOCK), _state(v0, i, ok, BLOCK)
    for t in tl.range(steps, num_stages=STAGES):
        un = alpha * un + tl.load(x + t * neurons + i, mask=ok, other=0).to(tl.float32)
        m = beta * vn + un
        s = _fire(m, threshold, MULTI_SPIKE)
        vn = tl.maximum(_left(m, s, threshold, ZERO_RESET), low)
        tl.store(membrane + t * neurons + i, m, mask=ok)
        tl.store(spikes + t * neurons + i, s, mask=ok)
    tl.store(u + i, un, mask=ok)
    tl.store(v + i, vn, mask=ok)


@triton.jit
def _backward(  # type: ignore[no-untyped-def]
    grad_spikes,
    gu,
    gv,
    membrane,
    u0,
    v0,
    decays,
    gu0,
    gv0,
    grad_x,
    sums,
    steps,
    neurons: tl.int64,
    alpha,
    beta,
    threshold,
    low,
    width,
    SURROGATE: tl.constexpr,
    ZERO_RESET: tl.constexpr,
    MULTI_SPIKE: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Step t gives du[t] = grad_x[t] and dm[t], with dL/dalpha = sum_t du[t] u[t-1], dL/dbeta = sum_t dm[t] v[t-1].

    u and v come back from the membranes: v[t] is what the reset left, u[t] = m[t] - beta v[t-1].
    """
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    ok = i < neurons
    if decays is not None:
        alpha, beta = tl.load(decays).to(tl.float32), tl.load(decays + 1).to(tl.float32)
    un, vn = _state(gu, i, ok, BLOCK), _state(gv, i, ok, BLOCK)
    v_start, later = _state(v0, i, ok, BLOCK), tl.zeros((BLOCK,), tl.float32)  # v before all steps, du[t + 1]
    alpha_sum, beta_sum = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for k in tl.range(steps, num_stages=STAGES):
        row = (steps - 1 - k) * neurons + i
        m = tl.load(membrane + row, mask=ok, other=0)
        s = _fire(m, threshold, MULTI_SPIKE)
        left = _left(m, s, threshold, ZERO_RESET)
        # the gradient passes where the membrane was not reset to zero, and the clamp at its bound
        passes = (left >= low) & (s == 0) if ZERO_RESET else left >= low
        vn = tl.where(passes, vn, 0.0)
        if grad_spikes is not None:
            g = tl.load(grad_spikes + row, mask=ok, other=0).to(tl.float32)
            vn += g * _surrogate(m, threshold, width, MULTI_SPIKE, SURROGATE)
        out = un + vn
        tl.store(grad_x + row, out, mask=ok)
        if sums is not None:
            first = row < neurons  # the state before the first step is not in the membranes
            before = tl.load(membrane + row - neurons, mask=ok & ~first, other=0)
            v_before = tl.maximum(_left(before, _fire(before, threshold, MULTI_SPIKE), threshold, ZERO_RESET), low)
            v_before = tl.where(first, v_start, v_before)
            alpha_sum += later * (m - beta * v_before)
            beta_sum += vn * v_before
            later = out
        vn *= beta
        un = alpha * out
    tl.store(gu0 + i, un, mask=ok)
    tl.store(gv0 + i, vn, mask=ok)
    if sums is not None:
        alpha_sum += later * _state(u0, i, ok, BLOCK)
        tl.store(sums + tl.program_id(0), tl.sum(alpha_sum))
        tl.store(sums + tl.num_programs(0) + tl.program_id(0), tl.sum(beta_sum))


@triton.jit
def _state(given, i, ok, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """A block's values of what is given, or zero."""
    if given is None:
        return tl.zeros((BLOCK,), tl.float32)
    else:  # noqa: RET505 - a kernel's branches are chosen when it is compiled
        return tl.load(given + i, mask=ok, other=0).to(tl.float32)


@triton.jit
def _fire(m, threshold, MULTI_SPIKE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Spikes for the membranes m."""
    if MULTI_SPIKE:
        return tl.maximum(tl.floor(tl.div_rn(m, threshold)), 0.0)
    else:  # noqa: RET505
        return tl.where(m >= threshold, 1.0, 0.0)


@triton.jit
def _left(m, s, threshold, ZERO_RESET: tl.constexpr):  # type: ignore[no-untyped-def]
    """What the reset leaves of the membranes m that sent s."""
    if ZERO_RESET:
        return tl.where(s > 0, 0.0, m)
    else:  # noqa: RET505
        return m - s * threshold


@triton.jit
def _surrogate(m, threshold, width, MULTI_SPIKE: tl.constexpr, SURROGATE: tl.constexpr):  # type: ignore[no-untyped-def]
    """`snn.surrogates.surrogate` for the membranes m, by the index in its list."""
    d = m - threshold
    if MULTI_SPIKE:
        d = tl.minimum(d, 0.0)
    if SURROGATE == 0:
        d = PI / width * d
        return 1.0 / (width * (1.0 + d * d))
    elif SURROGATE == 1:  # noqa: RET505
        d = 1.0 + tl.abs(d) / width
        return 1.0 / (width * d * d)
    elif SURROGATE == 2:
        return tl.maximum(1.0 - tl.abs(d) / width, 0.0) / width
    else:
        return tl.where(2.0 * tl.abs(d) < width, 1.0, 0.0) / width
