"""Time stretched: the same face, faster or slower, and its labels with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets.augment.base import Augmentation, Range, check_range, drawn, with_events, with_track
from datasets.face_track import track_of
from datasets.sample import Sample

ENDS = ("start_us", "end_us")
"""Times that data sets keep in meta: where a clip begins and ends."""


def stretch_time(times: np.ndarray, origin: int, factor: float) -> np.ndarray:
    """``t' = origin + floor((t - origin) factor)``, int64 microseconds; what is sorted stays sorted."""
    return origin + np.floor((times.astype(np.int64) - origin) * factor).astype(np.int64)


@dataclass(frozen=True, eq=False)
class StretchTime(Augmentation):
    """Time stretched from the first event on: by 2, all takes twice as long. factor: 0.1 to 10.

    Labels, face track, start and end of a `Sample` follow by the same equation. Tonic's ``TimeSkew`` is the same for
    recordings that start at 0; on a camera's own clock it stretches the time before the recording too.
    """

    factor: Range = (0.8, 1.25)

    def __post_init__(self) -> None:
        check_range("time stretch", self.factor, 0.1, 10)

    def _change(self, events: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return _stretched(events, int(events["t"][0]) if len(events) else 0, drawn(self.factor, random))

    def _change_sample(self, sample: Sample, random: np.random.Generator) -> Sample:
        known = sample.events.array["t"] if len(sample.events) else sample.label_times
        origin, factor = int(known[0]) if len(known) else 0, drawn(self.factor, random)
        return with_events(
            sample,
            _stretched(sample.events.array, origin, factor),
            label_times=stretch_time(sample.label_times, origin, factor),
            meta=_stretched_meta(sample.meta, origin, factor),
        )


def _stretched(events: np.ndarray, origin: int, factor: float) -> np.ndarray:
    out = events.copy()
    out["t"] = stretch_time(events["t"], origin, factor)
    return out


def _stretched_meta(meta: dict[str, Any], origin: int, factor: float) -> dict[str, Any]:
    ends = {key: int(stretch_time(np.array(meta[key]), origin, factor)) for key in ENDS if key in meta}
    stretched, track = {**meta, **ends}, track_of(meta)
    if track is None:
        return stretched
    times, first = np.unique(stretch_time(track.times, origin, factor), return_index=True)  # a track's times differ
    return with_track(stretched, times, track.boxes[first])
