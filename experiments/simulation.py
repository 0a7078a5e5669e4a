"""A video of a face into a store of one clip: events, and the face's box over time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.crop import BoxTrack
from datasets.events import Events
from datasets.face_track import track_face
from datasets.faces import BOX_SIDE
from datasets.inputs import fingerprint
from datasets.sample import Sample
from datasets.simulator import EventSimulator, PixelModel
from datasets.simulator import preset as preset_named
from datasets.simulator.interpolate import How, interpolated
from datasets.store import StoreWriter
from datasets.synthetic import SyntheticSpec
from datasets.video import Frame, open_frames, resized
from experiments.moments import Moments
from neuva import NeuvaError, __version__

FACE_SIDE = round(BOX_SIDE * SyntheticSpec.size)
"""Pixels across the face's box, as in the embedded faces: 94."""

PIECE = 1 << 16
"""Events are handed to the store from this many on: each time it is asked to take some costs the same."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Simulated:
    """What a video gave.

    sensor_size: (width, height). frames: those of the video; subframes: those put between them. seconds: from its
    first frame to its last. faces: the frames in which a face was found. last_face_us: the last one's time.
    """

    sensor_size: tuple[int, int]
    events: int
    frames: int
    subframes: int
    seconds: float
    faces: int
    last_face_us: int


def simulate_video(
    video: Path,
    out: Path,
    *,
    preset: str,
    interpolate: How,
    height: int | None,
    fps: float | None,
    seed: int,
    picture: Path,
    progress: Progress = lambda *_: None,
) -> Simulated:
    """Simulate a video's events on a sensor of that height, store them with the face's track, and draw some moments.

    The video is read twice, frame by frame: for the face, looked for in full frames and its track scaled to the
    sensor, then for the events, written as they come; memory does not grow with its length. Without a height the
    sensor is such that the face's box is `FACE_SIDE` pixels wide: cut out of a much finer sensor, a face would have
    many times the events a pixel that networks are trained on.

    Raises:
        NeuvaError: for an unknown preset, a video that cannot be decoded, changes its size or has fewer than 2
            frames, or no face.
    """
    model = preset_named(preset)
    source = open_frames(video, fps)
    watched = _Watched(source, video, "finding the face", source.count, progress)
    found = track_face(watched)
    size = _sensor_size(source.size, found, height)
    track = found.scaled(size[1] / source.size[1])
    meta = {
        "start_us": watched.first_us,
        "end_us": watched.last_us,
        "face_track": {"times": track.times.tolist(), "boxes": track.boxes.tolist()},
        "frames": watched.count,
        "frames_with_face": len(track.times),
    }
    provenance = {
        "source": video.name,
        "inputs_sha256": fingerprint([video]),
        "fps": fps,
        "preset": preset,
        "model": asdict(model),
        "interpolate": interpolate,
        "seed": seed,
        "version": __version__,
    }
    again = _Watched(source, video, "simulating", watched.count, progress)
    moments = Moments(watched.first_us, watched.last_us, size)
    simulation = _Simulation(interpolated(resized(again, size), interpolate), size, model, seed, moments)
    with StoreWriter(out, dataset="video", sensor_size=size, provenance=provenance) as store:
        if video.stem in store.finished:  # a run stopped after the clip, before the store: it needs only the figures
            deque(simulation, maxlen=0)
        else:
            store.add(video.stem, "test", _unlabelled(size, meta), events=simulation)
    moments.draw(picture, track, f"{video.name}, between frames: {interpolate}")
    return Simulated(
        sensor_size=size,
        events=simulation.events,
        frames=watched.count,
        subframes=simulation.frames - watched.count,
        seconds=(watched.last_us - watched.first_us) / 1e6,
        faces=len(track.times),
        last_face_us=int(track.times[-1]),
    )


def _sensor_size(video: tuple[int, int], face: BoxTrack, height: int | None) -> tuple[int, int]:
    wanted = height or round(video[1] * FACE_SIDE / float(np.median(face.boxes[:, 2])))
    high = min(wanted, video[1])
    return max(1, round(video[0] * high / video[1])), high


def _unlabelled(size: tuple[int, int], meta: dict[str, Any]) -> Sample:
    return Sample(Events.empty(size), np.empty(0, np.int64), np.empty((0, 2), np.float32), np.empty(0, bool), meta)


class _Watched:
    """Passes a video's frames on, once, and notes how many there were and when; the first and last time in us."""

    def __init__(self, frames: Iterable[Frame], video: Path, label: str, total: int, progress: Progress) -> None:
        self._frames, self._video, self._label, self._total, self._progress = frames, video, label, total, progress
        self.count = self.first_us = self.last_us = 0

    def __iter__(self) -> Iterator[Frame]:
        for frame, t_us in self._frames:
            self.first_us = t_us if self.count == 0 else self.first_us
            self.last_us = t_us
            self.count += 1
            yield frame, t_us
            self._progress(self._label, self.count, max(self.count, self._total))
        if self.count < 2:
            raise NeuvaError(f"{self._video}: {self.count} frame: events need at least 2: give a longer video")


class _Simulation:
    """The events of frames in pieces, once; what was made is counted and shown to `moments`."""

    def __init__(
        self, frames: Iterator[Frame], size: tuple[int, int], model: PixelModel, seed: int, moments: Moments
    ) -> None:
        self._frames, self._moments = frames, moments
        self._simulator = EventSimulator(size, model, seed)
        self.frames = self.events = 0

    def __iter__(self) -> Iterator[Events]:
        parts: list[np.ndarray] = []
        waiting = 0
        for frame, t_us in self._frames:
            events = self._simulator.feed(frame, t_us)
            self._moments.see(frame, t_us, events)
            self.frames += 1
            self.events += len(events)
            waiting += len(events)
            parts.append(events)
            if waiting >= PIECE:
                yield Events(np.concatenate(parts), self._simulator.sensor_size)
                parts, waiting = [], 0
        if parts:
            yield Events(np.concatenate(parts), self._simulator.sensor_size)
