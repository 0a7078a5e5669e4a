"""Fused kernels for the CPU: all T steps of a population in one numba call, forward and backward.

They compute `snn.neurons.define` (same operations in the same order, so spikes are equal to the bit) and store only
the membrane before reset. Each step is a handful of plain loops over a chunk that lies in the first cache, with every
choice between equations outside of them: so each becomes vector instructions, which is where the speed comes from.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit, prange

from snn.neurons import Neuron
from snn.surrogates import SURROGATES

CHUNK = 2048
"""Neurons a task works on at a time: small enough for all it touches to stay in the first cache."""


def forward(
    neuron: Neuron, decays: torch.Tensor | None, x: torch.Tensor, u0: torch.Tensor | None, v0: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Spikes [T, N] of x [T, N], the state u, v [N] after the last step and the membranes before reset [T, N].

    u0, v0: the state before the first step, [N], or None for zero.
    """
    membrane, spikes = torch.empty_like(x), torch.empty_like(x)
    u, v = torch.empty_like(x[0]), torch.empty_like(x[0])
    _forward(*_arrays(x, x, u0, v0), *_constants(neuron, decays, x), *_arrays(x, u, v, membrane, spikes))
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
    """Gradients of x [T, N], of u0 and v0 [N] and of the decays [2], from those of what `forward` gave.

    grad_spikes [T, N], gu, gv [N]: None for zero.
    """
    grad_spikes = torch.zeros_like(membrane) if grad_spikes is None else grad_spikes
    grad_x, gu0, gv0 = torch.empty_like(membrane), torch.empty_like(membrane[0]), torch.empty_like(membrane[0])
    constants = _constants(neuron, decays, membrane)
    kind, width = SURROGATES.index(neuron.surrogate), membrane.numpy().dtype.type(neuron.width)
    results = _arrays(membrane, gu0, gv0, grad_x)
    _backward(*_arrays(membrane, grad_spikes, gu, gv, membrane), *constants, kind, width, *results)  # type: ignore[call-arg]
    if decays is None:
        return grad_x, gu0, gv0, None
    sums = _decay_gradients(*_arrays(membrane, grad_x, membrane, u0, v0), *constants, *_arrays(membrane, gu))
    return grad_x, gu0, gv0, torch.from_numpy(sums)


def _arrays(like: torch.Tensor, *parts: torch.Tensor | None) -> list[np.ndarray]:
    """The tensors' memory, empty for none."""
    return [like.new_empty(0).numpy() if part is None else part.numpy() for part in parts]


def _constants(neuron: Neuron, decays: torch.Tensor | None, like: torch.Tensor) -> tuple:
    """alpha, beta, threshold, zero reset, low, multi spike: in the tensor's own precision, as torch rounds them."""
    number = like.numpy().dtype.type
    pair = (neuron.alpha, neuron.beta) if decays is None else decays.tolist()
    low = -np.inf if neuron.low is None else neuron.low
    return *map(number, (*pair, neuron.threshold)), neuron.reset == "zero", number(low), neuron.multi_spike


@njit(parallel=True, cache=True, error_model="numpy")
def _forward(  # type: ignore[no-untyped-def]
    x, u0, v0, alpha, beta, threshold, zero_reset, low, multi_spike, u, v, membrane, spikes
) -> None:
    """Run x [T, N] into membrane before reset and spikes, both [T, N], and the state u, v [N] after the last step.

    u0, v0: the state before the first step, [N], or [0] for zero.
    """
    steps, neurons = x.shape
    zero = x.dtype.type(0)
    for chunk in prange((neurons + CHUNK - 1) // CHUNK):
        first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, neurons)
        un, vn = u[first:last], v[first:last]
        _start(un, u0, first)
        _start(vn, v0, first)
        for t in range(steps):
            xn, m, s = x[t, first:last], membrane[t, first:last], spikes[t, first:last]
            for i in range(last - first):
                un[i] = alpha * un[i] + xn[i]
            for i in range(last - first):
                m[i] = beta * vn[i] + un[i]
            _fire(m, threshold, multi_spike, s)
            if zero_reset:
                for i in range(last - first):
                    vn[i] = max(zero if s[i] > zero else m[i], low)
            else:
                for i in range(last - first):
                    vn[i] = max(m[i] - s[i] * threshold, low)


@njit(parallel=True, cache=True, error_model="numpy")
def _backward(  # type: ignore[no-untyped-def]
    grad_spikes, gu, gv, membrane, alpha, beta, threshold, zero_reset, low, multi_spike, kind, width, gu0, gv0, grad_x
) -> None:
    """Back-propagate through time: grad_spikes [T, N] into grad_x [T, N].

    gu, gv: gradients of the state after the last step, [N], or [0] for zero; gu0, gv0 [N]: those of the state before
    the first, to be written.
    """
    steps, neurons = membrane.shape
    zero = membrane.dtype.type(0)
    for chunk in prange((neurons + CHUNK - 1) // CHUNK):
        first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, neurons)
        un, vn = gu0[first:last], gv0[first:last]
        _start(un, gu, first)
        _start(vn, gv, first)
        slope, s = np.empty(last - first, membrane.dtype), np.empty(last - first, membrane.dtype)
        for t in range(steps - 1, -1, -1):
            m, g, out = membrane[t, first:last], grad_spikes[t, first:last], grad_x[t, first:last]
            _surrogate(m, threshold, multi_spike, kind, width, slope)
            _fire(m, threshold, multi_spike, s)
            if zero_reset:  # the gradient passes where the membrane was not reset, and the clamp at its bound
                for i in range(last - first):
                    vn[i] = vn[i] if (s[i] == zero) & (m[i] >= low) else zero
            else:
                for i in range(last - first):
                    vn[i] = vn[i] if m[i] - s[i] * threshold >= low else zero
            for i in range(last - first):
                vn[i] += g[i] * slope[i]
            for i in range(last - first):
                out[i] = un[i] + vn[i]
            for i in range(last - first):
                vn[i] *= beta
                un[i] = alpha * out[i]


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"reassoc"})  # else sums stay scalar
def _decay_gradients(  # type: ignore[no-untyped-def]
    grad_x, membrane, u0, v0, alpha, beta, threshold, zero_reset, low, multi_spike, gu
) -> np.ndarray:
    """Gradients of (alpha, beta), float64 [2], from what `_backward` left.

    dL/dalpha = sum_t du[t] u[t-1] and dL/dbeta = sum_t dm[t] v[t-1], where du[t] is grad_x[t],
    dm[t] = du[t] - alpha du[t+1], and u, v come back from the membranes: u[t] = m[t] - beta v[t-1].
    u0, v0: the state before the first step, gu: the gradient of u after the last, each [N], or [0] for zero.
    """
    steps, neurons = membrane.shape
    chunks = (neurons + CHUNK - 1) // CHUNK
    sums = np.zeros((chunks, 2))
    for chunk in prange(chunks):
        first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, neurons)
        u, v = np.empty(last - first, membrane.dtype), np.empty(last - first, membrane.dtype)
        end, s = np.empty(last - first, membrane.dtype), np.empty(last - first, membrane.dtype)
        _start(u, u0, first)
        _start(v, v0, first)
        _start(end, gu, first)
        alpha_sum = beta_sum = 0.0
        for t in range(steps):
            m, du = membrane[t, first:last], grad_x[t, first:last]
            later = grad_x[min(t + 1, steps - 1), first:last]
            for i in range(last - first):
                alpha_sum += du[i] * u[i]
            for i in range(last - first):
                beta_sum += (du[i] - (alpha * later[i] if t + 1 < steps else end[i])) * v[i]
            _fire(m, threshold, multi_spike, s)
            for i in range(last - first):
                u[i] = m[i] - beta * v[i]
            for i in range(last - first):
                left = (m[i] * 0 if s[i] > 0 else m[i]) if zero_reset else m[i] - s[i] * threshold
                v[i] = max(left, low)
        sums[chunk, 0], sums[chunk, 1] = alpha_sum, beta_sum
    return sums.sum(axis=0)


@njit(inline="always")
def _start(state, given, first) -> None:  # type: ignore[no-untyped-def]
    """Fill a chunk's state with what is given from `first` on, or with zero."""
    for i in range(len(state)):
        state[i] = given[first + i] if len(given) else 0


@njit(inline="always")
def _fire(m, threshold, multi_spike, s) -> None:  # type: ignore[no-untyped-def]
    """Spikes s for the membranes m."""
    zero, one = m.dtype.type(0), m.dtype.type(1)
    if multi_spike:
        for i in range(len(m)):
            s[i] = max(np.floor(m[i] / threshold), zero)
    else:
        for i in range(len(m)):
            s[i] = one if m[i] >= threshold else zero


@njit(inline="always")
def _surrogate(m, threshold, multi_spike, kind, width, out) -> None:  # type: ignore[no-untyped-def]
    """`snn.surrogates.surrogate` for the membranes m, by the index in its list."""
    zero, one = m.dtype.type(0), m.dtype.type(1)
    per_width, pi_per_width = one / width, m.dtype.type(math.pi) / width
    for i in range(len(m)):
        out[i] = m[i] - threshold
    if multi_spike:
        for i in range(len(m)):
            out[i] = min(out[i], zero)
    if kind == 0:
        for i in range(len(m)):
            d = pi_per_width * out[i]
            out[i] = per_width / (one + d * d)
    elif kind == 1:
        for i in range(len(m)):
            d = one + abs(out[i]) * per_width
            out[i] = per_width / (d * d)
    elif kind == 2:
        for i in range(len(m)):
            out[i] = max(one - abs(out[i]) * per_width, zero) * per_width
    else:
        for i in range(len(m)):
            out[i] = per_width if abs(out[i]) + abs(out[i]) < width else zero
