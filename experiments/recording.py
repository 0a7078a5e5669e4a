"""From any recording to what a program takes, in steps of dt.

For valence and arousal the face is found and cut out, else it is the whole picture; both are scaled to the program's
input. Input spikes are taken as they are.
"""

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
from experiments.spike_files import holds_spikes, read_spikes
from hardware.camera import Camera
from hardware.program import AFFECT, ChipProgram, Shape
from hardware.speck.camera import seen
from neuva import NeuvaError

LONGEST_US = 600_000_000

NEAR_US = 200_000
"""A face found within this time is there: detectors miss some frames, and tracks are smoothed over as much."""


@dataclass(frozen=True)
class Recording:
    """A recording's events, and where the face is (None: the whole picture).

    found: times (us) at which a face was found in a video's frames; None where no frames were looked through.
    """

    name: str
    events: Events
    face: BoxTrack | None
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
    """What a program is given: events (None where there are only steps) and counts per step.

    events: at the network's size; the sensor's own where the program has a camera layer.
    """

    events: Events | None
    x: np.ndarray
    start_us: int

    def since_start(self, dt_us: int) -> np.ndarray:
        """The events of all steps of `dt_us`, structured, t since start_us."""
        if self.events is None:
            raise TypeError("an input of steps has no events")
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
    events = read_events(path, sensor_size=sensor_size, repair=repair)
    if not len(events):
        raise NeuvaError(f"{path}: holds no events: there is nothing to run")
    _require_span(path, events.t0, events.t1)
    return Recording(path.stem, events, track_activity(events), events.t0, events.t1 + 1)


def clip_recording(store: EventStore, index: int) -> Recording:
    """A clip of a store from its start to its end; one with labels as it is evaluated: to the last, by its own box.

    Raises:
        NeuvaError: if it holds no events.
    """
    name, sample = store.names[index], store.sample(index)
    if not len(sample.events):
        raise NeuvaError(f"{store.path}: clip {name} holds no events: there is nothing to run")
    start = int(sample.meta.get("start_us", sample.events.t0))
    _require_span(store.path, start, sample.events.t1)
    face = track_of(sample.meta)
    found = face.times if face is not None and "frames_with_face" in sample.meta else None
    if len(sample.label_times):
        end = int(sample.label_times[-1])
    else:
        end, face = int(sample.meta.get("end_us", sample.events.t1 + 1)), face or track_activity(sample.events)
    return Recording(name, sample.events, face, start, end, found)


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


def gives_affect(program: ChipProgram) -> bool:
    """Whether valence and arousal are what a program gives: then it is shown a face, else the whole picture."""
    return program.readout is not None and program.readout.names == AFFECT


def prepare(recording: Recording, program: ChipProgram) -> Input:
    """Cut the face out (or take the whole picture), scale it to the program's input and cut time into whole estimates.

    A program with a camera layer is given the sensor's events as they are, and in steps what that layer makes of them.

    Raises:
        NeuvaError: if the recording is shorter than one estimate, or the program's input is none of events.
    """
    if program.camera is None and program.input.shape[0] != 2:
        raise NeuvaError(
            f"{recording.name}: events have 2 channels (OFF, ON), the program's input {program.input.shape} has "
            f"{program.input.shape[0]}: give input spikes [T, C, H, W] as .npy or .npz"
        )
    if program.camera is None:
        events = crop_face(recording.events, recording.face if gives_affect(program) else None, program.input.shape)
    else:
        events = recording.events
    period = program.dt_us * program.every
    estimates = (recording.end_us - recording.start_us) // period
    if estimates < 1:
        raise NeuvaError(
            f"{recording.name}: {(recording.end_us - recording.start_us) / 1000:.1f} ms is shorter than one "
            f"estimate, {period / 1000:g} ms"
        )
    steps = estimates * program.every
    through = events if program.camera is None else _through(recording, program.camera, program.input.shape)
    x = to_steps(through, program.dt_us, steps, recording.start_us, program.input.kind)
    return Input(events, x[:, : program.input.shape[0]], recording.start_us)


def _through(recording: Recording, camera: Camera, shape: Shape) -> Events:
    """What the chip's camera layer makes of the sensor's own events.

    Raises:
        NeuvaError: if the recording is of another sensor.
    """
    if recording.events.sensor_size != camera.size:
        (width, height), (x, y) = recording.events.sensor_size, camera.size
        raise NeuvaError(
            f"{recording.name}: its sensor has {width}x{height} pixels, the program's camera layer {x}x{y}: convert "
            f'with --camera "size: [{width}, {height}]", or without --camera'
        )
    return Events(seen(camera, recording.events.array), (shape[2], shape[1]))


def open_input(
    path: Path,
    program: ChipProgram,
    clip: str | None = None,
    sensor_size: tuple[int, int] | None = None,
    repair: bool = False,
) -> tuple[Recording, Input]:
    """A recording as `open_recording` has it, or input spikes as `read_spikes` has them, and what the program is given.

    Of several clips of input spikes it is the one of the number `clip` (default: the first).

    Raises:
        NeuvaError: as those and `prepare`, or if there is no such clip.
    """
    if not holds_spikes(path, program.input.shape):
        recording = open_recording(path, clip, sensor_size, repair)
        return recording, prepare(recording, program)
    if sensor_size is not None or repair:
        raise NeuvaError(f"{path}: holds input spikes, and --sensor and --repair are for events: leave them out")
    clips = read_spikes(path, program.input.shape, program.input.kind)
    if clip is not None and clip not in map(str, range(clips.shape[1])):
        raise NeuvaError(f"{path}: no clip {clip}: it has 0 to {clips.shape[1] - 1}")
    x = clips[:, int(clip or 0)]
    if len(x) < program.every:
        raise NeuvaError(f"{path}: {len(x)} steps are shorter than one estimate, {program.every} steps")
    _, height, width = program.input.shape
    return Recording(path.stem, Events.empty((width, height)), None, 0, len(x) * program.dt_us), Input(None, x, 0)
