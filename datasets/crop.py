"""Cutting a moving square out of a stream of events, and scaling streams to smaller sensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from datasets.events import EVENT_DTYPE, Events
from neuva import NeuvaError


@dataclass(frozen=True)
class BoxTrack:
    """A square box that moves over time.

    times: int64 [N], microseconds, increasing, N >= 1.
    boxes: float64 [N, 3], centre x, centre y and side in pixels; pixel x covers [x, x + 1).
    Between its times the box goes in a straight line, before and after them it rests.

    Raises:
        NeuvaError: if the shapes disagree, times do not increase, or a box is not finite with a positive side.
    """

    times: np.ndarray
    boxes: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.times)
        if n == 0 or self.boxes.shape != (n, 3):
            raise NeuvaError(f"box track: {n} times need boxes [{n}, 3], at least one; got {list(self.boxes.shape)}")
        if np.any(np.diff(self.times) <= 0):
            row = int(np.argmax(np.diff(self.times) <= 0)) + 1
            raise NeuvaError(f"box track: time {row} ({self.times[row]} us) is not after the one before")
        bad = ~np.isfinite(self.boxes).all(axis=1) | ~(self.boxes[:, 2] > 0)
        if bad.any():
            row = int(np.argmax(bad))
            raise NeuvaError(f"box track: box {row} is {self.boxes[row].tolist()}; needed finite, with a positive side")

    def at(self, t_us: np.ndarray | int) -> np.ndarray:
        """The boxes at these times, float64 [..., 3]."""
        return np.stack([np.interp(t_us, self.times, column) for column in self.boxes.T], axis=-1)

    def scaled(self, factor: float) -> BoxTrack:
        """The same track in a picture `factor` times as large."""
        return BoxTrack(self.times, self.boxes * factor)


def crop_events(events: Events, track: BoxTrack, size: int) -> Events:
    """What a sensor of size x size pixels sees that follows the box: ``x' = floor((x + 0.5 - left) size / side)``.

    The box is interpolated at each event's own time; events outside it are dropped.

    Raises:
        NeuvaError: if size is below 1.
    """
    if size < 1:
        raise NeuvaError(f"crop to {size}x{size} pixels: needed at least 1")
    array = events.array
    out = np.empty(len(array), EVENT_DTYPE)
    kept = _crop(array, track.times.astype(np.int64), track.boxes.astype(np.float64), size, out)
    return Events(out[:kept].copy(), (size, size))


def rescale(events: Events, sensor_size: tuple[int, int]) -> Events:
    """The same events on a smaller (width, height), ``x' = floor(x width' / width)``; none is lost or added.

    Raises:
        NeuvaError: if the new sensor has no pixel or is larger on a side.
    """
    (width, height), (new_width, new_height) = events.sensor_size, sensor_size
    if not (1 <= new_width <= width and 1 <= new_height <= height):
        raise NeuvaError(f"rescale {width}x{height} to {new_width}x{new_height}: allowed 1x1 to {width}x{height}")
    out = events.array.copy()
    out["x"] = out["x"].astype(np.int64) * new_width // width
    out["y"] = out["y"].astype(np.int64) * new_height // height
    return Events(out, (new_width, new_height))


@njit(cache=True, nogil=True)
def _crop(events: np.ndarray, times: np.ndarray, boxes: np.ndarray, size: int, out: np.ndarray) -> int:
    kept = 0
    after = 0  # the first box at or after the event
    for i in range(len(events)):
        t = events[i].t
        while after < len(times) and times[after] < t:
            after += 1
        if after == 0 or after == len(times):
            box = boxes[min(after, len(times) - 1)]
            x, y, side = box[0], box[1], box[2]
        else:
            share = (t - times[after - 1]) / (times[after] - times[after - 1])
            before, behind = boxes[after - 1], boxes[after]
            x = before[0] + share * (behind[0] - before[0])
            y = before[1] + share * (behind[1] - before[1])
            side = before[2] + share * (behind[2] - before[2])
        column = np.floor((events[i].x + 0.5 - (x - side / 2)) * size / side)
        row = np.floor((events[i].y + 0.5 - (y - side / 2)) * size / side)
        if 0 <= column < size and 0 <= row < size:
            out[kept].t = t
            out[kept].x = np.int16(column)
            out[kept].y = np.int16(row)
            out[kept].p = events[i].p
            kept += 1
    return kept
