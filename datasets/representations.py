"""Events as tensors: steps of a clocked network, and temporal binary representation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit

from datasets.events import Events
from neuva import NeuvaError

Kind = Literal["binary", "counts"]


def to_steps(events: Events, dt_us: int, steps: int, start_us: int, kind: Kind = "binary") -> np.ndarray:
    """Events of [start_us, start_us + steps dt_us) sorted into steps, [T, 2, H, W] with channels (OFF, ON).

    Step k holds the events with ``start_us + k dt_us <= t < start_us + (k + 1) dt_us``. "binary": uint8, 1 where there
    is any event (at most one spike a pixel, polarity and step); "counts": int16, their number, at most 32,767.

    Raises:
        NeuvaError: if dt_us or steps is below 1 or kind is neither.
    """
    _check(dt_us, steps, kind)
    return _to_steps(events.array, events.sensor_size, dt_us, steps, start_us, kind)


@dataclass(frozen=True)
class ToSteps:
    """`to_steps` as a Tonic transform: structured array [N] with t, x, y, p to [T, 2, H, W].

    sensor_size: (width, height), or Tonic's (width, height, 2).
    steps: T; None: all whole steps of the recording from its start on, but at least one, as Tonic's
        ``ToFrame(time_window=dt_us)``.
    start_us: None: the first event's time.

    Raises:
        NeuvaError: as `to_steps`, and for events outside the sensor.
    """

    sensor_size: tuple[int, ...]
    dt_us: int
    steps: int | None = None
    start_us: int | None = None
    kind: Kind = "binary"

    def __post_init__(self) -> None:
        _check(self.dt_us, 1 if self.steps is None else self.steps, self.kind)

    def __call__(self, events: np.ndarray) -> np.ndarray:
        """The steps, [T, 2, H, W]."""
        width, height = self.sensor_size[:2]
        checked = Events.from_columns(events["t"], events["x"], events["y"], events["p"], (width, height))
        start = checked.t0 if self.start_us is None else self.start_us
        steps = max(1, (checked.t1 - start) // self.dt_us) if self.steps is None else self.steps
        return _to_steps(checked.array, (width, height), self.dt_us, steps, start, self.kind)


def temporal_binary(steps: np.ndarray, bits: int) -> np.ndarray:
    """Temporal binary representation (Innocenti et al., ICPR 2020): `bits` steps read as one binary number a pixel.

    A pixel is 1 in a step with an event of either polarity; frame k is ``sum_i 2^i b[k bits + i] / (2^bits - 1)``,
    so the latest step weighs most. Steps left over at the end are dropped.

    Args:
        steps: [T, 2, H, W], any kind.
        bits: 1 to 24.

    Returns:
        float32 [T // bits, H, W] in [0, 1].

    Raises:
        NeuvaError: if bits is outside 1..24 or there are fewer steps than bits.
    """
    if not 1 <= bits <= 24:
        raise NeuvaError(f"temporal binary representation of {bits} bits: allowed 1 to 24")
    if len(steps) < bits:
        raise NeuvaError(f"temporal binary representation of {bits} bits from {len(steps)} steps: take more steps")
    frames = len(steps) // bits
    active = steps[: frames * bits].any(axis=1).reshape(frames, bits, *steps.shape[2:])
    weights = (2.0 ** np.arange(bits) / (2**bits - 1)).astype(np.float32)
    return np.tensordot(active, weights, axes=(1, 0))


def _check(dt_us: int, steps: int, kind: str) -> None:
    if dt_us < 1 or steps < 1:
        raise NeuvaError(f"{steps} steps of {dt_us} us: both must be at least 1")
    if kind not in ("binary", "counts"):
        raise NeuvaError(f"steps of kind {kind!r}: choose binary or counts")


def _to_steps(
    array: np.ndarray, sensor_size: tuple[int, int], dt_us: int, steps: int, start_us: int, kind: Kind
) -> np.ndarray:
    width, height = sensor_size
    binary = kind == "binary"
    out = np.zeros((steps, 2, height, width), np.uint8 if binary else np.int16)
    first, last = np.searchsorted(array["t"], [start_us, start_us + steps * dt_us])
    _accumulate(array[first:last], start_us, dt_us, 1 if binary else np.iinfo(np.int16).max, out)
    return out


@njit(cache=True, nogil=True)
def _accumulate(events: np.ndarray, start: int, dt: int, most: int, out: np.ndarray) -> None:
    for i in range(len(events)):
        step, p, y, x = (events[i].t - start) // dt, events[i].p, events[i].y, events[i].x
        if out[step, p, y, x] < most:
            out[step, p, y, x] += 1
