"""Clips of input spikes from a numpy file, for networks that no store of camera events suits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from conversion.fidelity import Clip
from experiments.spike_files import read_spikes
from neuva import NeuvaError
from snn.networks import NetworkSpec

MOST_EVENTS = 1 << 27
"""Of a clip: 3 GB of them."""


def read_spike_clips(path: Path, spec: NetworkSpec) -> list[Clip]:
    """Clips without labels, from a file as `read_spikes` takes it.

    Raises:
        NeuvaError: as `read_spikes`, or if a clip's counts come to too many events.
    """
    clips = read_spikes(path, spec.input_shape, spec.encoding).swapaxes(0, 1)
    for index, x in enumerate(clips):
        if (events := int(x.sum(dtype=np.int64))) > MOST_EVENTS:
            raise NeuvaError(f"{path}: clip {index} holds {events:,} spikes, allowed {MOST_EVENTS:,}: give it shorter")
    return [_clip(f"{path.name}[{index}]", x, spec.dt_us) for index, x in enumerate(clips)]


def _clip(name: str, x: np.ndarray, dt_us: int) -> Clip:
    step, channel, y, column = np.repeat(np.argwhere(x), x[x > 0], axis=0).T
    events = np.zeros(len(step), [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
    events["t"], events["x"], events["y"], events["p"] = step * dt_us, column, y, channel
    return Clip(name, x, events, np.zeros((0, 2), np.float32), np.zeros(0, bool))
