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
from snn.networks import NetworkSpec


@dataclass(frozen=True)
class Cut:
    """How a clip is cut for a network or a program: input (C, H, W), its encoding, step, and steps per estimate."""

    shape: tuple[int, int, int]
    encoding: Literal["binary", "counts"]
    dt_us: int
    every: int

    @classmethod
    def of(cls, network: NetworkSpec | ChipProgram) -> Cut:
        """As the network was trained, or as the program says."""
        if isinstance(network, NetworkSpec):
            return cls(network.input_shape, network.encoding, network.dt_us, network.every)
        return cls(network.input.shape, network.input.kind, network.dt_us, network.readout.every)


def make_clip(name: str, sample: Sample, cut: Cut) -> Clip:
    """Cut a labelled sample into steps from its start; only whole estimates are kept.

    The sample starts at meta["start_us"] (its first event's time where that is missing) and ends with its last label.

    Raises:
        NeuvaError: if the clip is shorter than one estimate.
    """
    start = int(sample.meta.get("start_us", sample.events.t0))
    period = cut.every * cut.dt_us
    if not len(sample.label_times):
        raise NeuvaError(f"clip {name} has no labels to learn from or compare with: use another store")
    estimates = int(sample.label_times[-1] - start) // period
    if estimates < 1:
        raise NeuvaError(f"clip {name} is shorter than one estimate ({period / 1000:g} ms): leave it out")
    times = start + period * np.arange(1, estimates + 1)
    nearest = _nearest(sample.label_times, times)
    events = crop_face(sample.events, track_of(sample.meta), cut.shape)
    return Clip(
        name=name,
        x=to_steps(events, cut.dt_us, estimates * cut.every, start, cut.encoding),
        events=_since(events, start, start + estimates * period),
        labels=sample.labels[nearest],
        mask=sample.mask[nearest],
    )


def load_clips(store: EventStore, cut: Cut, indices: Iterable[int] | None = None) -> Iterator[Clip]:
    """The store's clips, one after the other."""
    for index in range(len(store)) if indices is None else indices:
        yield make_clip(store.names[int(index)], store.sample(int(index)), cut)


def crop_face(events: Events, face: BoxTrack | None, shape: tuple[int, int, int]) -> Events:
    """The face's square scaled to the input (C, H, W); the whole picture where no face is known.

    Raises:
        NeuvaError: if the input is not square.
    """
    _, height, width = shape
    if face is None:
        return rescale(events, (width, height))
    if height != width:
        raise NeuvaError(f"the network's input is {width}x{height}; a face's box is square: train with a square input")
    return crop_events(events, face, width)


def _since(events: Events, start: int, stop: int) -> np.ndarray:
    cut = events.between(start, stop).array.copy()
    cut["t"] -= start
    return cut


def _nearest(label_times: np.ndarray, times: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(label_times, times), 1, max(len(label_times) - 1, 1))
    before = after - 1
    closer = times - label_times[before] <= label_times[np.minimum(after, len(label_times) - 1)] - times
    return np.where(closer, before, np.minimum(after, len(label_times) - 1))
