"""Pictures of events for people: ON and OFF in two colours."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datasets.crop import BoxTrack
from datasets.events import Events
from neuva import NeuvaError, atomic_path

DARK, LIGHT = (17, 20, 28), (250, 250, 248)
"""RGB of the two grounds."""

ON, OFF = (232, 130, 30), (40, 110, 200)
"""RGB of brighter (orange) and darker (blue): told apart by readers who see few colours, on both grounds."""

BOX = (60, 170, 90)


def event_picture(events: Events, start: int, stop: int, *, dark: bool = False) -> np.ndarray:
    """Events with start <= t < stop as an RGB picture, uint8 [H, W, 3].

    A pixel's colour mixes the polarities by their counts; the more events, the further from the ground, full at the
    99th percentile of the pixels that have any.
    """
    width, height = events.sensor_size
    window = events.between(start, stop).array
    place = (window["p"].astype(np.int64) * height + window["y"]) * width + window["x"]
    off, on = np.bincount(place, minlength=2 * height * width).reshape(2, height, width).astype(np.float64)
    total = on + off
    full = np.quantile(total[total > 0], 0.99) if total.any() else 1.0
    strength = np.where(total > 0, 0.35 + 0.65 * np.minimum(1, total / full), 0)[..., None]
    share = (on / np.maximum(total, 1))[..., None]
    colour = share * np.array(ON) + (1 - share) * np.array(OFF)
    ground = np.array(DARK if dark else LIGHT)
    return np.round(ground + strength * (colour - ground)).astype(np.uint8)


def draw_box(picture: np.ndarray, track: BoxTrack, t_us: int) -> np.ndarray:
    """A copy of an RGB picture with the track's box at that time."""
    x, y, side = track.at(t_us)
    corner, opposite = (round(x - side / 2), round(y - side / 2)), (round(x + side / 2), round(y + side / 2))
    return cv2.rectangle(picture.copy(), corner, opposite, BOX, thickness=max(1, min(picture.shape[:2]) // 200))


def write_animation(
    path: str | os.PathLike[str], events: Events, frame_us: int = 40_000, *, dark: bool = False
) -> None:
    """Write the events as a film in real time, one picture per `frame_us` microseconds, as .gif or .mp4.

    Raises:
        NeuvaError: if there are no events, the format is unknown or the place cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in {".gif", ".mp4"}:
        raise NeuvaError(f"{path}: films are written as .gif or .mp4")
    if len(events) == 0:
        raise NeuvaError(f"{path}: no events to show")
    starts = range(events.t0, events.t1 + 1, frame_us)
    pictures = (event_picture(events, start, start + frame_us, dark=dark) for start in starts)
    with atomic_path(path) as temporary:
        if suffix == ".gif":
            _write_gif(temporary, list(pictures), frame_us)
        else:
            _write_mp4(temporary, pictures, events.sensor_size, frame_us)


def _write_gif(path: Path, pictures: list[np.ndarray], frame_us: int) -> None:
    first, *rest = [Image.fromarray(picture) for picture in pictures]
    first.save(path, save_all=True, append_images=rest, duration=frame_us / 1000, loop=0)


def _write_mp4(path: Path, pictures: Iterable[np.ndarray], size: tuple[int, int], frame_us: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 1e6 / frame_us, size)
    try:
        for picture in pictures:
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()
