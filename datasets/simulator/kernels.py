"""The simulator's inner loops: one pass over a span of pixels, and unpacking what it found.

An event travels from one to the other as a 64-bit key, ``offset << 31 | y << 16 | x << 1 | polarity``, offset in
microseconds from the last frame: sorting the keys sorts the events by time, ties by row, column and polarity.

A span is walked in chunks that stay in the nearest cache. What holds for every pixel is done by small loops without
branches over few arrays, which the compiler turns into vector instructions; only pixels that are due are looked at
one by one. Tables are constants of the module: the compiler must know that no loop writes to them.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numba import njit

OFFSET_BIT, Y_BIT, X_BIT = 31, 16, 1
LONGEST_SIDE = (1 << (Y_BIT - X_BIT)) - 1
LONGEST_STEP_US = (1 << (63 - OFFSET_BIT)) - 1

GRID = 2.0**32
"""Log intensities and thresholds are multiples of 1/GRID, so that adding and taking thresholds is exact in float64."""

LINEAR_UP_TO = 20
"""Digital numbers up to this are mapped linearly, brighter ones by their logarithm."""

CHUNK = 4096

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FRAME = np.uint64(0xD1342543DE82EF95)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_NORMALS = 1024


def log_intensity(x: np.ndarray) -> np.ndarray:
    """v2e's lin-log map, ``x ln(20) / 20`` up to 20 and ``ln x`` above, rounded to 1/GRID (v2e rounds to 1e-8)."""
    x = np.asarray(x, np.float64)
    linear = x * (np.log(LINEAR_UP_TO) / LINEAR_UP_TO)
    return np.round(np.where(x <= LINEAR_UP_TO, linear, np.log(np.maximum(x, 1))) * GRID) / GRID


_LEVEL = log_intensity(np.arange(256))
_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / _NORMALS) for i in range(_NORMALS)])  # equally likely values


class Rates(NamedTuple):
    """What a frame interval does, for brightness x + 20 of a digital number x.

    low pass: ``gain (x + 20)``, at most 1. leak of a pixel: ``leak + leak_slope (x + 20)`` times its own leak, jittered
    by the share `jitter`. Shot noise's chance times the pixel's threshold: ``shot - shot_slope (x + 20)`` times theta.
    """

    gain: float
    leak: float
    leak_slope: float
    jitter: float
    shot: float
    shot_slope: float
    theta_on: float
    theta_off: float
    refractory: int


class PixelState(NamedTuple):
    """What each pixel keeps, each [P]; leak is empty where the model has none, change where it has no surround."""

    filtered: np.ndarray  # log intensity after the low pass
    residual: np.ndarray  # filtered - base
    theta_on: np.ndarray
    theta_off: np.ndarray
    leak: np.ndarray  # drift of the residual per second
    last: np.ndarray  # time of the last event in microseconds
    change: np.ndarray  # of what the pixel sees, in this frame


class Scratch(NamedTuple):
    """What a thread forgets after a chunk, each [CHUNK]."""

    change: np.ndarray  # of what the pixel sees
    bits: np.ndarray  # uint64, random
    due: np.ndarray  # uint8, not 0: the pixel may have an event
    places: np.ndarray  # of the pixels that are due


def new_scratch() -> Scratch:
    """Room for one thread."""
    return Scratch(np.empty(CHUNK), np.empty(CHUNK, np.uint64), np.empty(CHUNK, np.uint8), np.empty(CHUNK, np.int64))


@njit(cache=True, inline="always")
def _mix(z: Any) -> Any:
    """The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): 64 well-mixed bits from a counter."""
    z = (z ^ (z >> np.uint64(30))) * _MIX_A
    z = (z ^ (z >> np.uint64(27))) * _MIX_B
    return z ^ (z >> np.uint64(31))


@njit(cache=True, inline="always")
def _uniform(bits: Any) -> Any:
    return np.float64(np.int64(bits >> np.uint64(32))) * 2.0**-32


@njit(cache=True, nogil=True)
def respond(frame: np.ndarray, filtered: np.ndarray, change: np.ndarray, gain: float) -> None:
    """Move the low pass on to `frame`; `change` becomes what it moved by. An infinite gain bypasses it."""
    for i in range(len(frame)):
        value, before = frame[i], filtered[i]
        moved = min(1.0, gain * (value + 20.0)) * (_LEVEL[value] - before)
        change[i] = moved
        filtered[i] = before + moved


@njit(cache=True)
def _draw(bits: np.ndarray, key: Any, first: int) -> None:
    for i in range(len(bits)):
        bits[i] = _mix(key + np.uint64(first + i) * _GOLDEN)


@njit(cache=True)
def _add_leak(change: np.ndarray, frame: np.ndarray, leak: np.ndarray, bits: np.ndarray, rates: Rates) -> None:
    mask = np.uint64(_NORMALS - 1)
    base, slope, jitter = rates.leak, rates.leak_slope, rates.jitter
    for i in range(len(change)):
        change[i] += leak[i] * (base + slope * (frame[i] + 20.0)) * (1 - jitter * _NORMAL[bits[i] & mask])


@njit(cache=True)
def _mark_crossings(due: np.ndarray, residual: np.ndarray, change: np.ndarray, on: np.ndarray, off: np.ndarray) -> None:
    for i in range(len(change)):
        end = residual[i] + change[i]
        due[i] = np.uint8(end >= on[i]) | np.uint8(end <= -off[i])


@njit(cache=True, inline="always")
def _shot(bits: Any, value: Any, on: float, off: float, rates: Rates) -> Any:
    """1 for an OFF event by shot noise, 2 for an ON event, else 0."""
    chance = _uniform(bits)
    share = rates.shot - rates.shot_slope * (value + 20.0)
    is_off = np.uint8(chance * off < share * rates.theta_off)
    return is_off | (np.uint8((1 - chance) * on <= share * rates.theta_on) << np.uint8(1))


@njit(cache=True)
def _mark_shots(
    due: np.ndarray, bits: np.ndarray, frame: np.ndarray, on: np.ndarray, off: np.ndarray, rates: Rates
) -> None:
    for i in range(len(frame)):
        due[i] |= _shot(bits[i], frame[i], on[i], off[i], rates)


@njit(cache=True)
def _list_due(due: np.ndarray, places: np.ndarray) -> int:
    """Write where `due` is set into `places`, in order; without a branch, as nobody could predict it."""
    count = 0
    for i in range(len(due)):
        places[count] = i
        count += due[i] != 0
    return count


@njit(cache=True, error_model="numpy")
def _cross(
    r0: float, r1: float, start: int, stop: int, last: int, on: float, off: float,
    refractory: int, place: int, keys: np.ndarray, count: int,
) -> tuple[float, int, int]:  # fmt: skip
    """Write a pixel's events while its residual goes straight from r0 (at `start` us) to r1 (at `stop` us).

    Returns what the residual ends at, the offset of the last event, and the number of keys.
    """
    pace = (stop - start) / (r1 - r0)  # of no use where r1 = r0: then nothing is crossed on the way
    while True:
        if r1 >= on:
            level, polarity, held_back = on, 1, r0 >= on
        elif r1 <= -off:
            level, polarity, held_back = -off, 0, r0 <= -off
        else:
            break
        wait = 0 if held_back else math.ceil((level - r0) * pace)
        offset = max(min(start + wait, stop), 1, last + refractory)
        if offset > stop:
            break
        keys[count] = (offset << OFFSET_BIT) | place | polarity
        count += 1
        last = offset
        r0 -= level
        r1 -= level
    return r1, last, count


@njit(cache=True)
def _twice(keys: np.ndarray) -> np.ndarray:
    larger = np.empty(2 * len(keys), np.int64)
    larger[: len(keys)] = keys
    return larger


@njit(cache=True, nogil=True, error_model="numpy")
def step(
    frame: np.ndarray, number: int, t0: int, dt: int, width: int, first: int, stop: int, rates: Rates,
    state: PixelState, seed: int, scratch: Scratch, keys: np.ndarray, most: float,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Move the pixels from `first` to before `stop` on from the last frame (at t0) to `frame` (at t0 + dt).

    frame: uint8 [P], the `number`-th of its video; with a surround, `state.change` already holds what it does.
    seed: uint64, of the noise. keys: buffer, replaced by a larger one when full. most: events a unit of log intensity
    can give at most, 1 over the smallest threshold.

    Returns:
        The buffer of keys and how many were written.
    """
    leaks, shoots, surrounded = len(state.leak) > 0, rates.shot > 0, len(state.change) > 0
    frame_key = _mix(np.uint64(seed) + np.uint64(number) * _FRAME)
    count = 0
    row = first // width
    for begin in range(first, stop, CHUNK):
        end = min(begin + CHUNK, stop)
        values, residual = frame[begin:end], state.residual[begin:end]
        on, off = state.theta_on[begin:end], state.theta_off[begin:end]
        bits, due = scratch.bits[: end - begin], scratch.due[: end - begin]
        change = state.change[begin:end] if surrounded else scratch.change[: end - begin]
        if not surrounded:
            respond(values, state.filtered[begin:end], change, rates.gain)
        if leaks or shoots:
            _draw(bits, frame_key, begin)
        if leaks:
            _add_leak(change, values, state.leak[begin:end], bits, rates)
        _mark_crossings(due, residual, change, on, off)
        if shoots:
            _mark_shots(due, bits, values, on, off, rates)
        for i in range(len(change)):
            residual[i] += change[i]
        for n in range(_list_due(due, scratch.places)):
            i = scratch.places[n]
            pixel = begin + i
            while pixel >= (row + 1) * width:
                row += 1
            place = (row << Y_BIT) | ((pixel - row * width) << X_BIT)
            r1 = residual[i]
            r0 = r1 - change[i]
            while count + 2 * (abs(r0) + abs(r1)) * most + 8 > len(keys):
                keys = _twice(keys)
            last, since = state.last[pixel] - t0, 0
            shot = _shot(bits[i], values[i], on[i], off[i], rates) if shoots else np.uint8(0)
            if shot > 0:  # the interval falls in two: up to the shot event, and on from it
                until = 1 + int(_uniform(_mix(bits[i])) * dt)
                middle = r0 + (r1 - r0) * (until / dt)
                rest = r1 - middle
                r0, last, count = _cross(
                    r0, middle, 0, until, last, on[i], off[i], rates.refractory, place, keys, count
                )
                if until >= last + rates.refractory:
                    is_on = shot == 2  # both at once are an OFF event
                    keys[count] = (until << OFFSET_BIT) | place | is_on
                    count += 1
                    last = until
                    r0 -= on[i] if is_on else -off[i]
                r1, since = r0 + rest, until
            residual[i], last, count = _cross(
                r0, r1, since, dt, last, on[i], off[i], rates.refractory, place, keys, count
            )
            state.last[pixel] = last + t0
    return keys, count


@njit(cache=True, nogil=True)
def unpack(keys: np.ndarray, t0: int, events: np.ndarray) -> None:
    """Write the events of sorted keys into a structured array of the same length."""
    for i in range(len(keys)):
        key = keys[i]
        events[i].t = t0 + (key >> OFFSET_BIT)
        events[i].x = (key >> X_BIT) & LONGEST_SIDE
        events[i].y = (key >> Y_BIT) & LONGEST_SIDE
        events[i].p = key & 1
