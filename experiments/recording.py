"""From any recording to what a program takes: the face found, cut out and scaled, in steps of dt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.crop import BoxTrack
from datasets.events import Events
from datasets.face_track import track_activity, track_of
from datasets.files import read_events
from datasets.files.hdf5 import is_store
from datasets.representations import to_steps
from datasets.store import EventStore
from experiments.clips import crop_face
from hardware.program import ChipProgram
from neuva import NeuvaError

LONGEST_US = 600_000_000

NEAR_US = 200_000
"""A face found within this time is there: detectors miss some frames, and tracks are smoothed over as much."""

VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"}


@dataclass(frozen=True)
class Recording:
    """A recording's events, and where the face is.

    found: times (us) at which a face was found in a video's frames; None where no frames were looked through.
    """

    name: str
    events: Events
    face: BoxTrack
    start_us: int
    end_us: int
    found: np.ndarray | None = None

    def face_near(self, times: np.ndarray) -> np.ndarray | None:
        """Bool: a face was found within `NEAR_US` of these times (us); None where nobody looked."""
        if self.found is None:
            return None
        return np.searchsorted(self.found, times - NEAR_US) < np.searchsorted(self.found, times + NEAR_US, "right")


@dataclass(frozen=True)
class Input:
    """What a program is given: events of the face at the network's size (t since start_us) and counts per step."""

    events: Events
    x: np.ndarray
    start_us: int

    def since_start(self, dt_us: int) -> np.ndarray:
        """The events of all steps of `dt_us`, structured, t since start_us."""
        events = self.events.between(self.start_us, self.start_us + len(self.x) * dt_us).array.copy()
        events["t"] -= self.start_us
        return events


def open_recording(
    path: Path, clip: str | None = None, sensor_size: tuple[int, int] | None = None, repair: bool = False
) -> Recording:
    """An event file, or one clip of a store (the first unless named).

    In a store the face's box is the one found when it was made; in a bare event file it is the busiest square, tracked.

    Raises:
        NeuvaError: if the file cannot be read, is empty, or the store has no such clip.
    """
    if is_store(path):
        store = EventStore(path)
        if sensor_size is not None and sensor_size != store.sensor_size:
            raise NeuvaError(f"{path}: its sensor is {store.sensor_size}, asked for {sensor_size}: ask for the store's")
        return clip_recording(store, _index(store, clip))
    if clip is not None:
        raise NeuvaError(f"{path}: holds one recording, no clip {clip}: leave --clip out")
    if path.suffix.lower() in VIDEOS:
        raise NeuvaError(f"{path}: is a video: make events of it first, `neuva simulate {path} {path.stem}.h5`")
    events = read_events(path, sensor_size=sensor_size, repair=repair)
    if not len(events):
        raise NeuvaError(f"{path}: holds no events: there is nothing to run")
    _require_span(path, events.t0, events.t1)
    return Recording(path.stem, events, track_activity(events), events.t0, events.t1 + 1)


def clip_recording(store: EventStore, index: int) -> Recording:
    """A clip of a store from its start to its end, whatever labels it has.

    Raises:
        NeuvaError: if it holds no events.
    """
    name, sample = store.names[index], store.sample(index)
    if not len(sample.events):
        raise NeuvaError(f"{store.path}: clip {name} holds no events: there is nothing to run")
    start = int(sample.meta.get("start_us", sample.events.t0))
    end = int(sample.meta.get("end_us", sample.events.t1 + 1))
    _require_span(store.path, start, sample.events.t1)
    face = track_of(sample.meta)
    found = face.times if face is not None and "frames_with_face" in sample.meta else None
    return Recording(name, sample.events, face or track_activity(sample.events), start, end, found)


def _index(store: EventStore, clip: str | None) -> int:
    names = list(store.names)
    if not names:
        raise NeuvaError(f"{store.path}: holds no clips")
    if clip is not None and clip not in names:
        raise NeuvaError(
            f"{store.path}: no clip {clip}: it has {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        )
    return 0 if clip is None else names.index(clip)


def _require_span(path: Path, start_us: int, end_us: int) -> None:
    """A stray time stamp far ahead would make hours of silence out of a short recording."""
    if end_us - start_us > LONGEST_US:
        raise NeuvaError(
            f"{path}: spans {(end_us - start_us) / 1e6:.0f} s, allowed {LONGEST_US / 1e6:.0f}: "
            "cut it, or a time stamp is wrong"
        )


def prepare(recording: Recording, program: ChipProgram) -> Input:
    """Cut the face out, scale it to the program's input and cut time into whole estimates.

    Raises:
        NeuvaError: if the recording is shorter than one estimate.
    """
    events = recording.events
    face = crop_face(events, recording.face, program.input.shape)
    period = program.dt_us * program.every
    estimates = (recording.end_us - recording.start_us) // period
    if estimates < 1:
        raise NeuvaError(
            f"{recording.name}: {(recording.end_us - recording.start_us) / 1000:.1f} ms is shorter than one "
            f"estimate, {period / 1000:g} ms"
        )
    steps = estimates * program.every
    x = to_steps(face, program.dt_us, steps, recording.start_us, program.input.kind)
    return Input(face, x, recording.start_us)
