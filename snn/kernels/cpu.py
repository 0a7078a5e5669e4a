"""Fused kernels for the CPU: all T steps of a population in one numba call, forward and backward.

They compute `snn.neurons.define` (same operations in the same order, so spikes are equal to the bit)
and store only the membrane before reset and the spikes.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

CHUNK = 2048
"""Neurons a task works on at a time: small enough for the state to stay in the first cache."""


@njit(parallel=True, cache=True, error_model="numpy")
def forward(  # type: ignore[no-untyped-def]
    x, u, v, alpha, beta, threshold, zero_reset, low, multi_spike, membrane, spikes
) -> None:
    """Run x [T, N] from state u, v [N] (overwritten) into membrane before reset and spikes, both [T, N]."""
    steps, neurons = x.shape
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for chunk in prange((neurons + CHUNK - 1) // CHUNK):
        first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, neurons)
        for t in range(steps):
            for i in range(first, last):
                u[i] = alpha * u[i] + x[t, i]
                m = beta * v[i] + u[i]
                membrane[t, i] = m
                s = max(np.floor(m / threshold), zero) if multi_spike else (one if m >= threshold else zero)
                spikes[t, i] = s
                m = (zero if s > 0 else m) if zero_reset else m - s * threshold
                v[i] = max(m, low)


@njit(parallel=True, cache=True, error_model="numpy")
def backward(  # type: ignore[no-untyped-def]
    grad_spikes, membrane, spikes, alpha, beta, threshold, zero_reset, low, multi_spike, kind, width, gu, gv, grad_x
) -> None:
    """Back-propagate through time: grad_spikes [T, N] into grad_x [T, N].

    gu, gv [N] hold the gradients of the state after the last step and end as those of the state before the first.
    """
    steps, neurons = membrane.shape
    zero = membrane.dtype.type(0)
    pi_w = math.pi / width
    for chunk in prange((neurons + CHUNK - 1) // CHUNK):
        first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, neurons)
        for t in range(steps - 1, -1, -1):
            for i in range(first, last):
                m, s = membrane[t, i], spikes[t, i]
                after = (zero if s > 0 else m) if zero_reset else m - s * threshold
                passed = gv[i] if after >= low else zero  # torch's clamp passes the gradient at the bound
                if zero_reset:
                    passed = passed if s == 0 else zero
                d = m - threshold
                if multi_spike:
                    d = min(d, zero)
                if kind == 0:
                    h = 1 / (width * (1 + (pi_w * d) ** 2))
                elif kind == 1:
                    h = 1 / (width * (1 + abs(d) / width) ** 2)
                elif kind == 2:
                    h = max(1 - abs(d) / width, zero) / width
                else:
                    h = 1 / width if abs(d) < width / 2 else zero
                dm = passed + grad_spikes[t, i] * h
                du = gu[i] + dm
                grad_x[t, i] = du
                gu[i] = alpha * du
                gv[i] = beta * dm
