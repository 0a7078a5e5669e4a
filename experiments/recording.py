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


@dataclass(frozen=True)
class Recording:
    """A recording's events, and where the face is."""

    name: str
    events: Events
    face: BoxTrack
    start_us: int
    end_us: int


@dataclass(frozen=True)
class Input:
    """What a program is given: events of the face at the network's size (t since start_us) and counts per step."""

    events: Events
    x: np.ndarray
    start_us: int


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
        return _from_store(store, path, clip)
    if clip is not None:
        raise NeuvaError(f"{path}: holds one recording, no clip {clip}: leave --clip out")
    events = read_events(path, sensor_size=sensor_size, repair=repair)
    if not len(events):
        raise NeuvaError(f"{path}: holds no events: there is nothing to run")
    _require_span(path, events.t0, events.t1)
    return Recording(path.stem, events, track_activity(events), events.t0, events.t1 + 1)


def _from_store(store: EventStore, path: Path, clip: str | None) -> Recording:
    names = list(store.names)
    if clip is not None and clip not in names:
        raise NeuvaError(f"{path}: no clip {clip}: it has {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}")
    if not names:
        raise NeuvaError(f"{path}: holds no clips")
    index = 0 if clip is None else names.index(clip)
    sample = store.sample(index)
    if not len(sample.events):
        raise NeuvaError(f"{path}: clip {names[index]} holds no events: there is nothing to run")
    start = int(sample.meta.get("start_us", sample.events.t0))
    _require_span(path, start, sample.events.t1)
    face = track_of(sample.meta) or track_activity(sample.events)
    return Recording(names[index], sample.events, face, start, int(sample.meta.get("end_us", sample.events.t1 + 1)))


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
    period = program.dt_us * program.readout.every
    estimates = (recording.end_us - recording.start_us) // period
    if estimates < 1:
        raise NeuvaError(
            f"{recording.name}: {(recording.end_us - recording.start_us) / 1000:.1f} ms is shorter than one "
            f"estimate, {period / 1000:g} ms"
        )
    steps = estimates * program.readout.every
    x = to_steps(face, program.dt_us, steps, recording.start_us, program.input.kind)
    return Input(face, x, recording.start_us)
