"""A few moments of a simulation that goes by, kept for a picture: frames above their events."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.crop import BoxTrack
from datasets.events import EVENT_DTYPE, Events
from datasets.pictures import draw_box, event_picture
from experiments.plots import faces_and_events, save_png

MOMENTS = 6

WINDOW_US = 20_000
"""Events of so long before each moment are shown: less than a frame of most videos, so that edges show as they pass."""

AROUND = 1.6
"""Side of the square that is shown over that of the face's box."""


class Moments:
    """Keeps the frame and the events of six moments, evenly spread over a clip; memory is that of these alone.

    Args:
        start, stop: the clip's first and last time in microseconds.
        size: (width, height) of its frames.
    """

    def __init__(self, start: int, stop: int, size: tuple[int, int]) -> None:
        self._start, self._size = start, size
        self._times = [start + (stop - start) * (2 * k + 1) // (2 * MOMENTS) for k in range(MOMENTS)]
        self._frames = [np.zeros(size[::-1], np.uint8)] * MOMENTS
        self._events: list[list[np.ndarray]] = [[] for _ in range(MOMENTS)]

    def see(self, frame: np.ndarray, t_us: int, events: np.ndarray) -> None:
        """Show a frame at its time and the events since the last one."""
        for k, time in enumerate(self._times):
            if t_us <= time:
                self._frames[k] = frame
            if len(events) and events["t"][0] <= time and events["t"][-1] > time - WINDOW_US:
                self._events[k].append(events[(events["t"] > time - WINDOW_US) & (events["t"] <= time)])

    def draw(self, path: Path, face: BoxTrack, title: str) -> None:
        """Write the picture: around the face's usual place, frames with its box, below them their events.

        No box is drawn before the face was first found and after it was last.

        Raises:
            NeuvaError: if it cannot be written.
        """
        frames, pictures, captions = [], [], []
        part = _region(np.median(face.boxes, axis=0), self._size)
        for time, frame, parts in zip(self._times, self._frames, self._events, strict=True):
            events = Events(np.concatenate([np.empty(0, EVENT_DTYPE), *parts]), self._size)
            shown = np.repeat(frame[..., None], 3, axis=-1)
            known = face.times[0] <= time <= face.times[-1]
            frames.append((draw_box(shown, face, time) if known else shown)[part])
            pictures.append(event_picture(events, time - WINDOW_US + 1, time + 1)[part])
            captions.append(f"{(time - self._start) / 1e6:.2f} s")
        save_png(faces_and_events(np.stack(frames), np.stack(pictures), captions, title), path)


def _region(box: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of a square `AROUND` times as wide as the box, as far as it lies in the picture."""
    x, y, side = box
    half = AROUND * side / 2
    (left, right), (top, bottom) = (
        (int(max(0, middle - half)), int(min(length, middle + half)))
        for middle, length in zip((x, y), size, strict=True)
    )
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))
