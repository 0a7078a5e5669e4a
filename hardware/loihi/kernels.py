"""The two inner loops of the Loihi emulator, sparse in the spikes: scatter synapses, update neurons.

Inside, a population is flat in (H, W, C) order, so that a spike's kernel row touches neighbours in memory.
"""

from __future__ import annotations

import numpy as np
from numba import njit

STATE_BITS = 24
STATE_LIMIT = 1 << (STATE_BITS - 1)
ACTIVATION_SHIFT = 6  # synaptic input and threshold are aligned with the 24-bit state by this shift
DECAY_UNITY = 4096


def axis_taps(inputs: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """Which outputs an input reaches along one axis, and through which tap of the kernel.

    out * stride - padding + tap * dilation = in, with 0 <= tap < kernel and 0 <= out < outputs.

    Returns:
        int32 [inputs, most, 2]: pairs (output, tap), filled up with -1.
    """
    pairs: list[list[tuple[int, int]]] = [[] for _ in range(inputs)]
    for out in range(outputs):
        for tap in range(kernel):
            place = out * stride - padding + tap * dilation
            if 0 <= place < inputs:
                pairs[place].append((out, tap))
    table = np.full((inputs, max(1, *map(len, pairs)), 2), -1, np.int32)
    for place, reached in enumerate(pairs):
        for slot, pair in enumerate(reached):
            table[place, slot] = pair
    return table


@njit(cache=True)
def scatter(
    a_in: np.ndarray,
    hits: np.ndarray,
    spikes: np.ndarray,
    values: np.ndarray,
    weight: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    in_channels: int,
    groups: int,
) -> None:
    """a_in += value * kernel for each spike, and count the synapses driven.

    Args:
        a_in: int32 [H_out, W_out, C_out], added to.
        hits: int64 [H_out, groups], kernel taps that landed on each output row (C_out / groups synapses each).
        spikes: int32, flat (H, W, C) indices of the neurons that spiked.
        values: int32, their payloads.
        weight: int32 [C_in, K_y, K_x, C_out / groups].
        rows: `axis_taps` along y.
        columns: `axis_taps` along x.
        in_channels: C_in.
        groups: of the connection.
    """
    width = columns.shape[0]
    per_group_in = in_channels // groups
    per_group_out = weight.shape[3]
    for k in range(spikes.shape[0]):
        place, channel = divmod(spikes[k], in_channels)
        y, x = divmod(place, width)
        group = channel // per_group_in
        first = group * per_group_out
        value = values[k]
        for i in range(rows.shape[1]):
            row, tap_y = rows[y, i, 0], rows[y, i, 1]
            if row < 0:
                break
            for j in range(columns.shape[1]):
                column, tap_x = columns[x, j, 0], columns[x, j, 1]
                if column < 0:
                    break
                hits[row, group] += 1
                target = a_in[row, column, first : first + per_group_out]
                kernel = weight[channel, tap_y, tap_x]
                for c in range(per_group_out):
                    target[c] += kernel[c] * value


@njit(cache=True)
def update(
    a_in: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    bias: np.ndarray,
    constants: tuple[int, int, int, int],
    wrap_once: bool,
    spiked: np.ndarray,
) -> tuple[int, int, int]:
    """One step of the CUBA-LIF of `LoihiNeuron` on every neuron; a_in is used up (set to zero).

    The products of state and decay have at most 36 bits, so float64 holds them exactly, and the cast to an
    integer truncates toward zero as the chip does.

    Args:
        a_in: int32 [places, C_out].
        u: int32 [places, C_out], changed.
        v: int32 [places, C_out], changed.
        bias: int32 [C_out].
        constants: du, dv, vth, weight_exp.
        wrap_once: leave u outside 24 bits when it is beyond +-3 * 2^23, as Lava's model does and no register can.
        spiked: int32, filled with the flat indices of the neurons that spike.

    Returns:
        number of spikes, of u that wrapped, of v that were clipped.
    """
    du, dv, vth, weight_exp = constants
    keep_u = (DECAY_UNITY - (du + 1)) / DECAY_UNITY
    keep_v = (DECAY_UNITY - dv) / DECAY_UNITY
    left, right = max(weight_exp, 0), max(-weight_exp, 0)
    wraps = clips = 0
    channels = u.shape[1]
    for place in range(u.shape[0]):
        for c in range(channels):
            driven = ((a_in[place, c] << left) >> right) << ACTIVATION_SHIFT
            a_in[place, c] = 0
            current = np.int32(u[place, c] * keep_u) + driven
            if wrap_once:
                wrapped = current - 2 * STATE_LIMIT * ((current > STATE_LIMIT) - (current <= -STATE_LIMIT))
            else:  # the 24-bit register, with Lava's range: -2^23 < u <= 2^23
                wrapped = ((current + (STATE_LIMIT - 1)) & (2 * STATE_LIMIT - 1)) - (STATE_LIMIT - 1)
            wraps += wrapped != current
            u[place, c] = wrapped
            voltage = np.int32(v[place, c] * keep_v) + wrapped + bias[c]
            clipped = min(max(voltage, -STATE_LIMIT + 1), STATE_LIMIT - 1)
            clips += clipped != voltage
            v[place, c] = clipped
    threshold = vth << ACTIVATION_SHIFT
    count = 0
    for place in range(u.shape[0]):
        for c in range(channels):
            if v[place, c] > threshold:
                v[place, c] = 0
                spiked[count] = place * channels + c
                count += 1
    return count, wraps, clips
