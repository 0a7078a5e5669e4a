"""Clips of a store as a network takes them: steps of dt at the network's size, labels at the estimates' times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from conversion.fidelity import Clip
from datasets.crop import BoxTrack, crop_events, rescale
from datasets.events import Events
from datasets.face_track import track_of
from datasets.representations import to_steps
from datasets.sample import Sample
from datasets.store import EventStore
from hardware.program import ChipProgram
from neuva import NeuvaError
from snn.building import AffectSpec


@dataclass(frozen=True)
class Cut:
    """How a clip is cut for a network or a program: input (C, H, W), its encoding, step, and steps per estimate."""

    shape: tuple[int, int, int]
    encoding: Literal["binary", "counts"]
    dt_us: int
    every: int

    @classmethod
    def of(cls, network: AffectSpec | ChipProgram) -> Cut:
        """As the network was trained, or as the program says."""
        if isinstance(network, ChipProgram):
            return cls(network.input.shape, network.input.kind, network.dt_us, network.every)
        return cls(network.input_shape, network.encoding, network.dt_us, network.every)


@dataclass(frozen=True)
class EventClip:
    """A labelled clip before it is cut: the sensor's own events, the face's box, and how many estimates fit in.

    start_us: where it begins on the events' clock. label_times, labels, mask: as in `Sample`.
    """

    events: Events
    track: BoxTrack | None
    start_us: int
    estimates: int
    label_times: np.ndarray
    labels: np.ndarray
    mask: np.ndarray

    @classmethod
    def of(cls, name: str, sample: Sample, cut: Cut) -> EventClip:
        """A sample from its start on; only whole estimates are kept.

        It starts at meta["start_us"] (its first event's time where that is missing) and ends with its last label.

        Raises:
            NeuvaError: if the clip has no label, is shorter than one estimate, or its box does not fit the input.
        """
        start, track = int(sample.meta.get("start_us", sample.events.t0)), track_of(sample.meta)
        period = cut.every * cut.dt_us
        if not len(sample.label_times):
            raise NeuvaError(f"clip {name} has no labels to learn from or compare with: use another store")
        estimates = int(sample.label_times[-1] - start) // period
        if estimates < 1:
            raise NeuvaError(f"clip {name} is shorter than one estimate ({period / 1000:g} ms): leave it out")
        require_input(sample.events.sensor_size, track, cut.shape)
        return cls(sample.events, track, start, estimates, sample.label_times, sample.labels, sample.mask)

    def valid(self, period_us: int) -> np.ndarray:
        """Which of its estimates have a valid label, bool [estimates]."""
        times = self.start_us + period_us * np.arange(1, self.estimates + 1)
        return self.mask[nearest(self.label_times, times)]


def make_clip(name: str, sample: Sample, cut: Cut) -> Clip:
    """Cut a labelled sample into steps from its start; only whole estimates are kept.

    Raises:
        NeuvaError: as `EventClip.of`.
    """
    clip = EventClip.of(name, sample, cut)
    period = cut.every * cut.dt_us
    rows = nearest(clip.label_times, clip.start_us + period * np.arange(1, clip.estimates + 1))
    events = crop_face(clip.events, clip.track, cut.shape)
    return Clip(
        name=name,
        x=to_steps(events, cut.dt_us, clip.estimates * cut.every, clip.start_us, cut.encoding),
        events=_since(events, clip.start_us, clip.start_us + clip.estimates * period),
        labels=clip.labels[rows],
        mask=clip.mask[rows],
    )


def load_clips(store: EventStore, cut: Cut, indices: Iterable[int] | None = None) -> Iterator[Clip]:
    """The store's clips, one after the other."""
    for index in range(len(store)) if indices is None else indices:
        yield make_clip(store.names[int(index)], store.sample(int(index)), cut)


def load_event_clips(store: EventStore, cut: Cut) -> Iterator[EventClip]:
    """The store's clips with their events as they are, one after the other."""
    for index, name in enumerate(store.names):
        yield EventClip.of(name, store.sample(index), cut)


def crop_face(events: Events, face: BoxTrack | None, shape: tuple[int, int, int]) -> Events:
    """The face's square scaled to the input (C, H, W); the whole picture where no face is known.

    Raises:
        NeuvaError: as `require_input`.
    """
    _, height, width = shape
    require_input(events.sensor_size, face, shape)
    return rescale(events, (width, height)) if face is None else crop_events(events, face, width)


def require_input(sensor_size: tuple[int, int], face: BoxTrack | None, shape: tuple[int, int, int]) -> None:
    """Refuse an input (C, H, W) that the face's square, or the whole picture, does not fit.

    Raises:
        NeuvaError: if the input is not square, or has more pixels than the sensor.
    """
    _, height, width = shape
    if face is not None and height != width:
        raise NeuvaError(f"the network's input is {width}x{height}; a face's box is square: train with a square input")
    if face is None:
        rescale(Events.empty(sensor_size), (width, height))


def _since(events: Events, start: int, stop: int) -> np.ndarray:
    cut = events.between(start, stop).array.copy()
    cut["t"] -= start
    return cut


def nearest(label_times: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Row of the label nearest to each time, the earlier of two."""
    after = np.clip(np.searchsorted(label_times, times), 1, max(len(label_times) - 1, 1))
    before = after - 1
    closer = times - label_times[before] <= label_times[np.minimum(after, len(label_times) - 1)] - times
    return np.where(closer, before, np.minimum(after, len(label_times) - 1))
