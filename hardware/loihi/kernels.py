"""The inner loops of the Loihi emulator, sparse in the spikes: for each step, scatter synapses, update neurons.

All in one file, as numba's cache of a function does not see changes in another file.

Inside, a population is flat in (H, W, C) order, so that a spike's kernel row touches neighbours in memory and eight
channels are computed at once. Numba widens every integer expression to 64 bits, hence the casts back to 32.
"""

from __future__ import annotations

import numpy as np
from numba import njit

STATE_BITS = 24
STATE_LIMIT = 1 << (STATE_BITS - 1)
ACTIVATION_SHIFT = 6  # synaptic input and threshold are aligned with the 24-bit state by this shift
DECAY_UNITY = 4096
TOP, REGISTER = np.int32(STATE_LIMIT - 1), np.int32(2 * STATE_LIMIT - 1)


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


def place_taps(rows: np.ndarray, columns: np.ndarray, width: int, kernel_width: int) -> tuple[np.ndarray, np.ndarray]:
    """Which places an input place reaches, and through which tap: `axis_taps` of both axes in one list.

    Args:
        rows: `axis_taps` along y.
        columns: `axis_taps` along x.
        width: of the output.
        kernel_width: K_x.

    Returns:
        start int32 [H_in * W_in + 1] and taps int32 [N, 2]: input place k has taps[start[k]:start[k + 1]], pairs
        (output place, tap), both flat in (y, x) order.
    """
    y, x = rows[:, None, :, None], columns[None, :, None, :]
    reached = (y[..., 0] >= 0) & (x[..., 0] >= 0)
    pairs = np.stack([y[..., 0] * width + x[..., 0], y[..., 1] * kernel_width + x[..., 1]], axis=-1)
    start = np.concatenate([[0], np.cumsum(reached.sum(axis=(2, 3)))])
    return start.astype(np.int32), pairs[reached].astype(np.int32)


@njit(cache=True, nogil=True, error_model="numpy")
def scatter(
    a_in: np.ndarray,
    live: np.ndarray,
    heard: np.ndarray,
    spikes: np.ndarray,
    values: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray,
    taps: np.ndarray,
) -> None:
    """a_in += value * kernel for each spike.

    Args:
        a_in: int32 or int64 [places, C_out], added to; wraps in its own bits.
        live: bool [places], set where something was added.
        heard: int64 [input places, groups], spikes heard, added to.
        spikes: int32, flat (H, W, C) indices of the neurons that spiked.
        values: int32, their payloads.
        weight: int16 or int32 [C_in, taps, C_out / groups].
        start: see `place_taps`.
        taps: see `place_taps`.
    """
    # unsigned, as an index that may be negative costs a test, and as divisions of 32 bits are the faster ones
    in_channels, groups = np.uint32(weight.shape[0]), np.uint32(heard.shape[1])
    per_group, width = np.uint32(weight.shape[0] // heard.shape[1]), np.uintp(weight.shape[2])
    kernel_size, channels = np.uintp(weight.shape[1] * weight.shape[2]), np.uintp(a_in.shape[1])
    flat_a, flat_w = a_in.reshape(-1), weight.reshape(-1)
    for k in range(spikes.shape[0]):
        place = np.uint32(np.uint32(spikes[k]) // in_channels)
        channel = np.uint32(np.uint32(spikes[k]) - place * in_channels)
        group = np.uint32(channel // per_group) if groups > 1 else np.uint32(0)
        heard[place, group] += 1
        value = values[k]
        for t in range(start[place], start[place + np.uint32(1)]):
            out = np.uint32(taps[t, 0])
            live[out] = True
            first = np.uintp(out) * channels + np.uintp(group) * width
            kernel = np.uintp(channel) * kernel_size + np.uintp(taps[t, 1]) * width
            if value == 1:
                for c in range(width):
                    flat_a[first + c] += flat_w[kernel + c]
            else:
                for c in range(width):
                    flat_a[first + c] += flat_a.dtype.type(flat_w[kernel + c]) * value


@njit(cache=True, nogil=True, inline="always")
def decay(state, keep):  # type: ignore[no-untyped-def]
    """trunc(state * keep / 4096) toward zero in 32 bits: the upper and the lower twelve bits each on their own.

    Shifts round down; adding 4095 to a negative product first makes that toward zero.

    Args:
        state: int32.
        keep: int32 in 0..4096.
    """
    upper = np.int32(np.int32(state >> 12) * keep)
    lower = np.int32(np.int32(state & 4095) * keep)
    return np.int32(upper + np.int32(np.int32(lower + np.int32(np.int32(state >> 31) & 4095)) >> 12))


@njit(cache=True, nogil=True, error_model="numpy")
def update(
    a_in: np.ndarray,
    live: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    bias: np.ndarray,
    constants: tuple[int, int, int],
    shifts: tuple[int, int, int],
    wrap_once: bool,
    fired: np.ndarray,
) -> tuple[int, int]:
    """One step of the CUBA-LIF of `LoihiNeuron` on every neuron; a_in is used up (set to zero).

    A place without input, bias, current and voltage stays as it is, exactly, and is left out.

    Args:
        a_in: int32 or int64 [places, C_out]; all arithmetic up to the wrap has its bits.
        live: bool [places]: the places to look at; those that have become silent are taken out.
        u: int32 [places, C_out], changed.
        v: int32 [places, C_out], changed.
        bias: int32 [C_out].
        constants: du, dv, vth.
        shifts: of a_in, one after the other: left, right, left.
        wrap_once: leave u outside 24 bits when it is beyond +-3 * 2^23, as Lava's model does and no register can.
        fired: uint8 [places, C_out], 1 where a neuron spikes, else 0; those of places left out must be 0.

    Returns:
        number of u that wrapped, of v that were clipped.
    """
    wide = a_in.dtype.type
    keep_u, keep_v = np.int32(DECAY_UNITY - (constants[0] + 1)), np.int32(DECAY_UNITY - constants[1])
    threshold = np.int32(constants[2] << ACTIVATION_SHIFT)
    up, down, left = wide(shifts[0]), wide(shifts[1]), wide(shifts[2])
    biased = np.any(bias != 0)
    wraps, clips = 0, 0
    for place in range(u.shape[0]):
        if not live[place]:
            continue
        wrapped_here = clipped_here = states = np.int32(0)
        for c in range(u.shape[1]):
            drive = wide(wide(wide(a_in[place, c] << (up & 31)) >> (down & 31)) << (left & 31))
            a_in[place, c] = 0
            current = wide(decay(u[place, c], keep_u) + drive)
            if wrap_once:
                over = np.int32(np.int32(current > STATE_LIMIT) - np.int32(current <= -STATE_LIMIT))
                wrapped = np.int32(current - np.int32(over * (2 * STATE_LIMIT)))
            else:  # the 24-bit register, with Lava's range: -2^23 < u <= 2^23
                wrapped = np.int32(np.int32(np.int32(np.int32(current) + TOP) & REGISTER) - TOP)
            wrapped_here = np.int32(wrapped_here + np.int32(wide(wrapped) != current))
            u[place, c] = wrapped
            voltage = np.int32(np.int32(decay(v[place, c], keep_v) + wrapped) + bias[c])
            clipped = min(max(voltage, np.int32(-TOP)), TOP)
            clipped_here = np.int32(clipped_here + np.int32(clipped != voltage))
            # before the reset, so that a place is looked at once more after a spike, which clears `fired`
            states = np.int32(states | np.int32(wrapped | clipped))
            spikes = clipped > threshold
            fired[place, c] = spikes
            v[place, c] = np.int32(0) if spikes else clipped
        wraps += int(wrapped_here)
        clips += int(clipped_here)
        live[place] = biased or states != 0
    return wraps, clips


@njit(cache=True, nogil=True)
def run(start, index, value, synapses, neurons, u, v, resets, a_in, heard, kept):  # type: ignore[no-untyped-def]
    """Scatter and update for every step; spikes as (start, index), wraps and clips."""
    weight, tap_start, taps = synapses
    bias, constants, shifts, wrap_once = neurons
    done, reset_every = resets
    steps, size = len(start) - 1, u.size
    live = np.ones(len(u), np.bool_)
    flags = np.zeros((size + 7) // 8 * 8, np.uint8)
    fired = flags[:size].reshape(u.shape)
    out_start = np.zeros(steps + 1, np.int64)
    out = np.empty(4 * flags.size, np.int32)
    used = wraps = clips = 0
    for step in range(steps):
        if reset_every and done + step > 0 and (done + step) % reset_every == 0:
            u[:] = 0
            v[:] = 0
        now = slice(start[step], start[step + 1])
        scatter(a_in, live, heard, index[now], value[now], weight, tap_start, taps)
        wrapped, clipped = update(a_in, live, u, v, bias, constants, shifts, wrap_once, fired)
        wraps, clips = wraps + wrapped, clips + clipped
        if used + flags.size > out.size:  # room for the case that every neuron spikes
            grown = np.empty(2 * out.size, np.int32)
            grown[:used] = out[:used]
            out = grown
        used += _collect(flags, out[used:])
        out_start[step + 1] = used
        if kept.shape[1]:
            kept[0, step] = u
            kept[1, step] = v
    return out_start, out[:used].copy(), wraps, clips


@njit(cache=True, nogil=True)
def _collect(flags, out):  # type: ignore[no-untyped-def]
    """Write where flags (uint8, 0 or 1, 8 n of them) are set, ascending; how many. Most eights are empty."""
    eights = flags.view(np.uint64)
    some, found = np.empty(eights.size, np.int32), 0
    for k in range(eights.size):  # both loops without a test, as tests that cannot be foreseen cost more
        some[found] = k
        found += eights[k] != 0
    count = 0
    for k in some[:found]:
        for i in range(8 * k, 8 * k + 8):
            out[count] = i
            count += np.int64(flags[i])  # type: ignore[assignment]
    return count
