"""The simulator's inner loops: one pass over the pixels of a frame, and unpacking what it found.

An event travels from one to the other as a 64-bit key, ``offset << 25 | pixel << 1 | polarity``, offset in
microseconds from the last frame: sorting the keys sorts the events by time, ties by pixel.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

PIXEL_BITS = 24
MOST_PIXELS = 1 << PIXEL_BITS
LONGEST_STEP_US = (1 << (62 - PIXEL_BITS)) - 1

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FRAME = np.uint64(0xD1342543DE82EF95)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


class Tables(NamedTuple):
    """What depends on a pixel's digital number alone, each [256]; jitter is [2^n], equally likely leak factors."""

    level: np.ndarray  # log intensity
    gain: np.ndarray  # step of the low pass, 1: bypassed
    shot_on: np.ndarray  # probability of a shot-noise ON event times the pixel's threshold
    shot_off: np.ndarray
    jitter: np.ndarray


class PixelState(NamedTuple):
    """What each pixel keeps, each [P]; leak is empty where there is none."""

    filtered: np.ndarray  # log intensity after the low pass
    residual: np.ndarray  # filtered - base
    theta_on: np.ndarray
    theta_off: np.ndarray
    leak: np.ndarray  # drift of the residual per second
    last: np.ndarray  # time of the last event in microseconds


@njit(cache=True, inline="always")
def _mix(z: Any) -> Any:
    """The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): 64 well-mixed bits from a counter."""
    z = (z ^ (z >> np.uint64(30))) * _MIX_A
    z = (z ^ (z >> np.uint64(27))) * _MIX_B
    return z ^ (z >> np.uint64(31))


@njit(cache=True, inline="always")
def _uniform(bits: Any) -> Any:
    return np.float64(bits >> np.uint64(32)) * 2.0**-32


@njit(cache=True, inline="always")
def _key(offset: Any, pixel: Any, polarity: Any) -> Any:
    return (offset << (PIXEL_BITS + 1)) | (pixel << 1) | polarity


@njit(cache=True)
def _cross(
    r0: float, r1: float, start: int, stop: int, last: int, on: float, off: float,
    refractory: int, pixel: int, keys: np.ndarray, count: int,
) -> tuple[float, int, int]:  # fmt: skip
    """Write a pixel's events while its residual goes straight from r0 (at `start` us) to r1 (at `stop` us).

    Returns what the residual ends at, the offset of the last event, and the number of keys.
    """
    while True:
        if r1 >= on:
            level, polarity, held_back = on, 1, r0 >= on
        elif r1 <= -off:
            level, polarity, held_back = -off, 0, r0 <= -off
        else:
            break
        share = 0.0 if held_back else (level - r0) / (r1 - r0)
        offset = max(start + math.ceil((stop - start) * share), 1, last + refractory)
        if offset > stop:
            break
        keys[count] = _key(offset, pixel, polarity)
        count += 1
        last = offset
        r0 -= level
        r1 -= level
    return r1, last, count


@njit(cache=True, nogil=True)
def step(
    frame: np.ndarray, number: int, t0: int, dt: int, tables: Tables, state: PixelState,
    seed: int, refractory: int, first: int, keys: np.ndarray, count: int,
) -> tuple[int, int]:  # fmt: skip
    """Move the pixels from `first` on from the last frame (at t0) to `frame` (at t0 + dt), writing their events' keys.

    frame: uint8 [P], the `number`-th of its video; seed: uint64, of the noise; count: keys already written.

    Returns (next pixel, keys written); next pixel < P means that `keys` is full: enlarge it and call again.
    """
    leaks, shoots = len(state.leak) > 0, tables.shot_on[0] > 0
    frame_key = _mix(np.uint64(seed) + np.uint64(number) * _FRAME)
    jitter_mask = np.uint64(len(tables.jitter) - 1)
    for pixel in range(first, len(frame)):
        value = frame[pixel]
        on, off = state.theta_on[pixel], state.theta_off[pixel]
        before = state.filtered[pixel]
        gain = tables.gain[value]
        after = before + gain * (tables.level[value] - before) if gain < 1 else tables.level[value]
        r0 = state.residual[pixel]
        r1 = r0 + (after - before)
        shot = -1
        bits = np.uint64(0)
        if leaks or shoots:
            bits = _mix(frame_key + np.uint64(pixel) * _GOLDEN)
            if leaks:
                r1 += state.leak[pixel] * dt * 1e-6 * tables.jitter[bits & jitter_mask]
            if shoots:
                chance = _uniform(bits)
                if chance * off < tables.shot_off[value]:
                    shot = 0
                elif (1 - chance) * on <= tables.shot_on[value]:
                    shot = 1
        if r1 >= on or r1 <= -off or shot >= 0:
            if count + 2 * (abs(r0) + abs(r1) + on + off) / min(on, off) + 4 > len(keys):
                return pixel, count
            last = state.last[pixel] - t0
            start = 0
            if shot >= 0:  # the interval falls in two: up to the shot event, and on from it
                stop = 1 + int(_uniform(_mix(bits)) * dt)
                middle = r0 + (r1 - r0) * (stop / dt)
                rest = r1 - middle
                r0, last, count = _cross(r0, middle, start, stop, last, on, off, refractory, pixel, keys, count)
                if stop >= last + refractory:
                    keys[count] = _key(stop, pixel, shot)
                    count += 1
                    last = stop
                    r0 -= on if shot == 1 else -off
                r1 = r0 + rest
                start = stop
            r1, last, count = _cross(r0, r1, start, dt, last, on, off, refractory, pixel, keys, count)
            state.last[pixel] = last + t0
        state.filtered[pixel] = after
        state.residual[pixel] = r1
    return len(frame), count


@njit(cache=True, nogil=True)
def unpack(keys: np.ndarray, t0: int, width: int, events: np.ndarray) -> None:
    """Write the events of sorted keys into a structured array of the same length."""
    for i in range(len(keys)):
        pixel = (keys[i] >> 1) & (MOST_PIXELS - 1)
        events[i].t = t0 + (keys[i] >> (PIXEL_BITS + 1))
        events[i].x = pixel % width
        events[i].y = pixel // width
        events[i].p = keys[i] & 1
