"""Frames: how many events of each pixel and polarity lie in each window, or whether any does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit

from datasets.events import Events
from datasets.representations.windows import Window
from datasets.structured import as_events
from neuva import NeuvaError

Kind = Literal["binary", "counts"]


def to_frames(events: Events, window: Window, kind: Kind = "counts") -> np.ndarray:
    """Frame k counts the events of window k, [T, 2, H, W] with channels (OFF, ON).

    "counts": int16, at most 32,767; "binary": uint8, 1 where there is any event.

    Raises:
        NeuvaError: if kind is neither.
    """
    check_kind(kind)
    return gather(events, window.ranges(events), kind)


@dataclass(frozen=True)
class ToFrames:
    """`to_frames` as a Tonic transform: structured array [N] with t, x, y, p to [T, 2, H, W].

    Equal to Tonic's ``ToFrame`` for each `Window`, but that counts beyond 32,767 saturate where Tonic's wrap around,
    and that no events give empty frames of the sensor's own shape (Tonic's have width and height exchanged).

    sensor_size: (width, height), or Tonic's (width, height, 2).

    Raises:
        NeuvaError: as `to_frames`, and for events outside the sensor.
    """

    sensor_size: tuple[int, ...]
    window: Window
    kind: Kind = "counts"

    def __post_init__(self) -> None:
        check_kind(self.kind)

    def __call__(self, events: np.ndarray) -> np.ndarray:
        """The frames, [T, 2, H, W]."""
        return to_frames(as_events(events, self.sensor_size), self.window, self.kind)


def check_kind(kind: str) -> None:
    """Refuse a kind of frames that there is not."""
    if kind not in ("binary", "counts"):
        raise NeuvaError(f"steps of kind {kind!r}: choose binary or counts")


def gather(events: Events, ranges: np.ndarray, kind: Kind) -> np.ndarray:
    """Frames of these ranges of rows, int64 [T, 2]."""
    width, height = events.sensor_size
    binary = kind == "binary"
    out = np.zeros((len(ranges), 2, height, width), np.uint8 if binary else np.int16)
    _count(events.array, ranges, width, 1 if binary else np.iinfo(np.int16).max, out.reshape(len(ranges), -1))
    return out


@njit(cache=True, nogil=True)
def _count(events: np.ndarray, ranges: np.ndarray, width: int, most: int, out: np.ndarray) -> None:
    height = out.shape[1] // (2 * width)
    for k in range(len(ranges)):
        frame = out[k]
        for i in range(ranges[k, 0], ranges[k, 1]):
            event = events[i]
            pixel = np.uint64((event.p * height + event.y) * width + event.x)  # unsigned: no wrap-around to test for
            frame[pixel] += frame[pixel] < most  # a sum and no branch, which would be guessed wrongly
