"""Spikes between the layers of the Loihi emulator: lists per step, in the order the kernels want them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from hardware.program import Shape
from hardware.trace import Spikes


@dataclass(frozen=True)
class Activity:
    """Spikes of consecutive steps: those of step k are index[start[k]:start[k + 1]].

    start: int64 [T + 1]; index: int32, neurons flat in (H, W, C) order; value: int32, payloads.
    """

    start: np.ndarray
    index: np.ndarray
    value: np.ndarray

    @classmethod
    def silent(cls, steps: int) -> Activity:
        """No spikes."""
        none = np.zeros(0, np.int32)
        return cls(np.zeros(steps + 1, np.int64), none, none)

    @classmethod
    def of_dense(cls, spikes: np.ndarray) -> Activity:
        """From [T, C, H, W]."""
        steps, c, h, w = spikes.shape
        flat = np.ascontiguousarray(spikes).reshape(-1)
        where = np.flatnonzero(flat != 0)
        start = np.searchsorted(where, np.arange(steps + 1) * (c * h * w)).astype(np.int64)
        return cls(start, _by_place(where, c, h * w), flat[where].astype(np.int32))

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.start) - 1

    def after_silence(self) -> Activity:
        """The same after one silent step: what the next layer hears."""
        return Activity(np.concatenate([self.start[:1], self.start]), self.index, self.value)

    def spikes(self, shape: Shape, dt_us: int) -> Spikes:
        """As the trace has them, of neurons (C, H, W)."""
        c, h, w = shape
        neuron, order = _by_channel(self.start, self.index, c, h * w)
        times = np.repeat(np.arange(self.steps) * dt_us, np.diff(self.start))
        return Spikes(shape, times, neuron, self.value[order])

    def per_row(self, shape: Shape) -> np.ndarray:
        """Number of spikes, int64 [C, H], of neurons (C, H, W)."""
        return _per_row(self.index, *shape)


@njit(cache=True, nogil=True)
def _by_place(where, channels, places):  # type: ignore[no-untyped-def]
    """Flat (T, C, H, W) indices as (H, W, C) indices within their step."""
    index = np.empty(where.size, np.int32)
    for k in range(where.size):
        channel, place = divmod(where[k] % (channels * places), places)
        index[k] = place * channels + channel
    return index


@njit(cache=True, nogil=True)
def _by_channel(start, index, channels, places):  # type: ignore[no-untyped-def]
    """Flat (C, H, W) indices, ascending within each step, and where each stood: a counting sort over channels."""
    neuron, order = np.empty(index.size, np.int32), np.empty(index.size, np.int64)
    slot = np.zeros(channels + 1, np.int64)
    wide = np.uint32(channels)  # divisions of 32 bits are the faster ones
    for step in range(start.size - 1):
        slot[:] = 0
        for k in range(start[step], start[step + 1]):
            slot[np.uint32(index[k]) % wide + np.uint32(1)] += 1
        slot[0] = start[step]
        for c in range(channels):
            slot[c + 1] += slot[c]
        for k in range(start[step], start[step + 1]):
            place = np.uint32(np.uint32(index[k]) // wide)
            channel = np.uint32(np.uint32(index[k]) - place * wide)
            neuron[slot[channel]] = channel * places + place
            order[slot[channel]] = k
            slot[channel] += 1
    return neuron, order


@njit(cache=True, nogil=True)
def _per_row(index, channels, height, width):  # type: ignore[no-untyped-def]
    """How many flat (H, W, C) indices there are of each channel and row."""
    count = np.zeros((channels, height), np.int64)
    row, wide = np.uint32(channels * width), np.uint32(channels)
    for k in range(index.size):
        count[np.uint32(index[k]) % wide, np.uint32(index[k]) // row] += 1
    return count
