"""A video of a face into a store of one clip: events, and the face's box over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from datasets.events import Events
from datasets.face_track import track_face
from datasets.sample import Sample
from datasets.simulator import PRESETS, EventSimulator
from datasets.store import StoreWriter
from datasets.video import Frame, open_frames, resized
from neuva import NeuvaError, __version__

FACE_SIDE = 128
"""Pixels across the face's box, as in the embedded faces."""


def simulate_video(
    video: Path,
    out: Path,
    *,
    preset: str,
    height: int | None,
    fps: float | None,
    seed: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Events, float]:
    """Simulate a video's events on a sensor of that height and store them with the face's track.

    The face is looked for in the video's full frames, and its track scaled to the sensor. Without a height the sensor
    is such that the face's box is `FACE_SIDE` pixels wide: cut out of a much finer sensor, a face would have many
    times the events a pixel that networks are trained on.

    Returns:
        The events and the clip's length in seconds.

    Raises:
        NeuvaError: for an unknown preset, a video that cannot be decoded or has fewer than 2 frames, or no face.
    """
    if preset not in PRESETS:
        raise NeuvaError(f'preset "{preset}" is not known: choose one of {", ".join(PRESETS)}')
    source = open_frames(video, fps)
    width_in, height_in = source.size
    found = track_face(_counted(source, progress, 0))
    wanted = height or round(height_in * FACE_SIDE / float(np.median(found.boxes[:, 2])))
    height = min(wanted, height_in)
    size = (round(width_in * height / height_in), height)
    track = found.scaled(height / height_in)
    simulator = EventSimulator(size, PRESETS[preset], seed)
    parts, times = [], []
    for frame, t_us in resized(_counted(open_frames(video, fps), progress, 1), size):
        parts.append(simulator.feed(frame, t_us))
        times.append(t_us)
    if len(times) < 2:
        raise NeuvaError(f"{video}: {len(times)} frame: events need at least 2")
    events = Events(np.concatenate(parts), size)
    meta = {
        "start_us": times[0],
        "end_us": times[-1],
        "face_track": {"times": track.times.tolist(), "boxes": track.boxes.tolist()},
    }
    sample = Sample(events, np.empty(0, np.int64), np.empty((0, 2), np.float32), np.empty(0, bool), meta)
    provenance = {
        "source": video.name,
        "preset": preset,
        "model": asdict(PRESETS[preset]),
        "seed": seed,
        "version": __version__,
    }
    with StoreWriter(out, dataset="video", sensor_size=size, provenance=provenance) as store:
        if video.stem not in store.finished:
            store.add(video.stem, "test", sample)
    return events, (times[-1] - times[0]) / 1e6


def _counted(frames: object, progress: Callable[[int, int], None], half: int) -> Iterator[Frame]:
    total = max(int(getattr(frames, "count", 0)), 1)
    for done, frame in enumerate(frames, 1):  # type: ignore[arg-type, var-annotated]
        progress(half * total + done, 2 * total)
        yield frame
