"""The inner loops of the two Speck emulators, sparse in the spikes.

Inside, a map of neurons is flat in (H, W) with its features side by side: v [H * W, F]. Out go flat (F, H, W) indices.
"""

from __future__ import annotations

import numpy as np
from numba import njit

STATE_MAX = (1 << 15) - 1  # the state is a signed 16-bit word
STATE_MIN = -(1 << 15)


@njit(cache=True, inline="always")
def _reach(place: int, size: int, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Outputs first <= o < end along one axis that an input reaches: 0 <= place + padding - o * stride < kernel."""
    shifted = place + padding
    first = max(0, (shifted - kernel + stride) // stride)
    return first, min(size, shifted // stride + 1)


@njit(cache=True)
def _room(rows: np.ndarray, used: int) -> np.ndarray:
    """`rows` with room for one more than `used`, doubled when full."""
    if used < len(rows):
        return rows
    larger = np.empty((2 * len(rows), rows.shape[1]), np.int64)
    larger[:used] = rows
    return larger


@njit(cache=True)
def run_clocked(
    start: np.ndarray,
    spikes: np.ndarray,
    weight: np.ndarray,
    geometry: tuple[int, int, int, int, int, int],
    bias: np.ndarray,
    constants: tuple[int, int, bool],
    reset_every: int,
    record: np.ndarray,
) -> tuple[np.ndarray, int, int]:
    """All steps of one layer from zero state.

    Per step: v += sum of count * weight + bias; n = v // threshold if v > 0, else 0 spikes; then v -= n * threshold,
    or v = 0 where n > 0; then v = max(v, low).

    Args:
        start: int64 [T + 1]; spikes: int64 [S, 4] of (channel, y, x, count); those of step k are start[k]:start[k + 1].
        weight: int32 [C, K_y, K_x, F]; bias: int32 [F].
        geometry: H, W of the neurons, stride y, x, padding y, x.
        constants: threshold, low, reset to zero.
        reset_every: v = 0 before the steps it divides; 0: never.
        record: int32 [T, H * W, F] filled with v after each step, or of length 0.

    Returns:
        int64 [N, 3] of (step, flat neuron, count); synaptic operations; sums beyond the chip's 16 bits, those below
        only where `low` would let them stay there.
    """
    height, width, stride_y, stride_x, pad_y, pad_x = geometry
    threshold, low, to_zero = constants
    kernel_y, kernel_x, features = weight.shape[1:]
    v = np.zeros((height * width, features), np.int32)
    leaks = bias.any()
    touched = np.arange(height * width)  # the places to update; without a bias only those that a spike reached
    seen = np.full(height * width, -1)
    out, used, taps, overflows = np.empty((1024, 3), np.int64), 0, 0, 0
    for step in range(len(start) - 1):
        if reset_every and step % reset_every == 0:
            v[:] = 0
        reached = height * width if leaks else 0
        for s in range(start[step], start[step + 1]):
            channel, y, x, count = spikes[s]
            first_y, end_y = _reach(y, height, kernel_y, stride_y, pad_y)
            first_x, end_x = _reach(x, width, kernel_x, stride_x, pad_x)
            taps += count * max(end_y - first_y, 0) * max(end_x - first_x, 0)
            for row in range(first_y, end_y):
                for column in range(first_x, end_x):
                    place = row * width + column
                    kernel = weight[channel, y + pad_y - row * stride_y, x + pad_x - column * stride_x]
                    target = v[place]
                    for f in range(features):
                        target[f] += np.int32(count) * kernel[f]
                    if not leaks and seen[place] != step:
                        seen[place] = step
                        touched[reached] = place
                        reached += 1
        for i in range(reached):
            place = touched[i]
            for f in range(features):
                value = v[place, f] + bias[f]
                overflows += value > STATE_MAX or low < STATE_MIN > value
                if value >= threshold:
                    count = value // threshold
                    value = 0 if to_zero else value - count * threshold
                    out = _room(out, used)
                    out[used, 0], out[used, 1], out[used, 2] = step, f * height * width + place, count
                    used += 1
                v[place, f] = max(value, low)
        if len(record):
            record[step] = v
    return out[:used], taps * features, overflows


@njit(cache=True)
def run_events(
    events: np.ndarray,
    weight: np.ndarray,
    geometry: tuple[int, int, int, int, int, int],
    bias: np.ndarray,
    constants: tuple[int, int, bool],
    clocks: np.ndarray,
    end: int,
    v: np.ndarray,
) -> tuple[np.ndarray, int, int, int]:
    """One layer on a stretch of events, one after the other; `v` and `clocks` are kept up to date.

    An event does v = clip16(v + weight) on the neurons it reaches; one with v >= threshold then sends one spike and
    does v -= threshold or v = 0; then v = max(v, low). A tick does the same on all neurons with the bias for weight.

    Args:
        events: int64 [S, 4] of (t, channel, y, x) in the order worked on.
        weight, geometry, bias, constants: see `run_clocked`.
        clocks: int64 [2, 2], next time and period of the reset of all states, then of the leak; periods of 0: never.
            Either comes before an event of its time, the reset first.
        end: of the stretch (what the clocks do before it is done).
        v: int32 [H * W, F].

    Returns:
        int64 [N, 5] of (t, cause, channel, y, x), the spikes in the order sent, at their neurons' addresses; cause is
        the index of the event, -1 for a tick. Synaptic operations; ticks done; states that saturated.
    """
    height, width, stride_y, stride_x, pad_y, pad_x = geometry
    kernel_y, kernel_x, features = weight.shape[1:]
    out, used, taps, ticks, saturated = np.empty((1024, 5), np.int64), 0, 0, 0, 0
    for s in range(len(events) + 1):
        until = events[s, 0] if s < len(events) else end - 1
        clock = _due(clocks, until)
        while clock >= 0:
            now = clocks[clock, 0]
            clocks[clock, 0] += clocks[clock, 1]
            if clock == 0:
                v[:] = 0
            else:
                ticks += 1
                for row in range(height):
                    for column in range(width):
                        target = v[row * width + column]
                        out, used, over = _add(target, bias, constants, (now, -1, row, column), out, used)
                        saturated += over
            clock = _due(clocks, until)
        if s == len(events):
            break
        t, channel, y, x = events[s]
        first_y, end_y = _reach(y, height, kernel_y, stride_y, pad_y)
        first_x, end_x = _reach(x, width, kernel_x, stride_x, pad_x)
        taps += max(end_y - first_y, 0) * max(end_x - first_x, 0)
        for row in range(first_y, end_y):
            for column in range(first_x, end_x):
                kernel = weight[channel, y + pad_y - row * stride_y, x + pad_x - column * stride_x]
                target = v[row * width + column]
                out, used, over = _add(target, kernel, constants, (t, s, row, column), out, used)
                saturated += over
    return out[:used], taps * features, ticks, saturated


@njit(cache=True, inline="always")
def _due(clocks: np.ndarray, until: int) -> int:
    """The clock that strikes next and not after `until`, the reset before the leak; -1 if none does."""
    found = -1
    for clock in range(2):
        if clocks[clock, 1] and clocks[clock, 0] <= until and (found < 0 or clocks[clock, 0] < clocks[found, 0]):
            found = clock
    return found


@njit(cache=True, inline="always")
def _add(
    target: np.ndarray,
    kernel: np.ndarray,
    constants: tuple[int, int, bool],
    cause: tuple[int, int, int, int],
    out: np.ndarray,
    used: int,
) -> tuple[np.ndarray, int, int]:
    """Add a kernel row to the features of a place; one spike at most each, of (t, cause, row, column)."""
    threshold, low, to_zero = constants
    peak, saturated = STATE_MIN, 0
    least = np.int32(STATE_MIN if low < STATE_MIN else -(1 << 31))  # no loss where `low` cuts higher anyway
    for f in range(len(kernel)):
        value = target[f] + kernel[f]
        clipped = min(max(value, least), np.int32(STATE_MAX))
        saturated += clipped != value
        clipped = max(clipped, np.int32(low))
        target[f] = clipped
        peak = max(peak, clipped)
    if peak >= threshold:  # rare, and apart from the loop above so that that one runs in SIMD
        for f in range(len(kernel)):
            if target[f] >= threshold:
                target[f] = np.int32(0) if to_zero else np.int32(target[f] - threshold)
                out = _room(out, used)
                out[used, 0], out[used, 1], out[used, 3], out[used, 4] = cause
                out[used, 2] = f
                used += 1
    return out, used, saturated
