"""Temporal binary representation: several binary steps read as one number a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from datasets.representations.grid import check_grid, grid_of, step_ranges
from datasets.structured import as_events
from neuva import NeuvaError

MOST_BITS = 24
"""What the significand of float32 holds: the number of each pixel stays exact."""


def temporal_binary(steps: np.ndarray, bits: int) -> np.ndarray:
    """Temporal binary representation (Innocenti et al., ICPR 2020): `bits` steps read as one binary number a pixel.

    A pixel is 1 in a step with an event of either polarity; frame k is ``sum_i 2^i b[k bits + i] / (2^bits - 1)``,
    so the latest step weighs most. Steps left over at the end are dropped.
    Tonic's ``ToBinaRep`` (Barchid et al. 2022) keeps the polarities apart and lets the first step weigh most.

    Args:
        steps: [T, 2, H, W], any kind.
        bits: 1 to 24.

    Returns:
        float32 [T // bits, 1, H, W] in [0, 1].

    Raises:
        NeuvaError: if bits is outside 1..24 or there are fewer steps than bits.
    """
    _check_bits(bits)
    if len(steps) < bits:
        raise NeuvaError(f"temporal binary representation of {bits} bits from {len(steps)} steps: take more steps")
    frames = len(steps) // bits
    active = steps[: frames * bits].any(axis=1).reshape(frames, bits, 1, *steps.shape[2:])
    return _scaled(np.tensordot(active, 2 ** np.arange(bits, dtype=np.uint32), axes=(1, 0)), bits)


@dataclass(frozen=True)
class ToTemporalBinary:
    """`temporal_binary` of steps of dt_us as a Tonic transform: structured array [N] to float32 [T, 1, H, W].

    Equal to it of what `ToSteps` gives, without the steps in memory.

    sensor_size: (width, height), or Tonic's (width, height, 2).
    dt_us: length of one bit; a frame is ``bits dt_us`` long (Innocenti et al. use 8 bits of 2,500 us).
    frames: T; None: all whole frames of the recording from its start on, but at least one.
    start_us: None: the first event's time.

    Raises:
        NeuvaError: as `temporal_binary`, for dt_us or frames below 1, and for events outside the sensor.
    """

    sensor_size: tuple[int, ...]
    dt_us: int = 2500
    bits: int = 8
    frames: int | None = None
    start_us: int | None = None

    def __post_init__(self) -> None:
        _check_bits(self.bits)
        check_grid(self.dt_us, self.frames)

    def __call__(self, events: np.ndarray) -> np.ndarray:
        """The frames, float32 [T, 1, H, W]."""
        checked = as_events(events, self.sensor_size)
        width, height = checked.sensor_size
        start, frames = grid_of(checked, self.dt_us * self.bits, self.frames, self.start_us)
        codes = np.zeros((frames, 1, height, width), np.uint32)
        ranges = step_ranges(checked, self.dt_us, frames * self.bits, start)
        _set_bits(checked.array, ranges, self.bits, width, codes.reshape(frames, -1))
        return _scaled(codes, self.bits)


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= MOST_BITS:
        raise NeuvaError(f"temporal binary representation of {bits} bits: allowed 1 to {MOST_BITS}")


def _scaled(codes: np.ndarray, bits: int) -> np.ndarray:
    return codes.astype(np.float32) / np.float32(2**bits - 1)


@njit(cache=True, nogil=True)
def _set_bits(events: np.ndarray, ranges: np.ndarray, bits: int, width: int, codes: np.ndarray) -> None:
    for k in range(len(ranges)):
        frame, bit = codes[k // bits], np.uint32(1 << (k % bits))
        for i in range(ranges[k, 0], ranges[k, 1]):
            frame[np.uint64(events[i].y * width + events[i].x)] |= bit
