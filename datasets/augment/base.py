"""What an augmentation is: parameters, a source of chance, and a change to events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from datasets.events import Events
from datasets.sample import Sample
from datasets.structured import as_events
from neuva import NeuvaError

Range = float | tuple[float, float]
"""A value, or (lowest, highest) of one drawn anew, evenly, at each call."""

Data = TypeVar("Data", np.ndarray, Sample)


@dataclass(frozen=True, eq=False)
class Augmentation(ABC):
    """A change to events, drawn at each call. What comes in stays as it is; what comes out has its fields and types.

    random: source of chance of the calls that bring none. Its state moves on; the augmentation itself never changes.
    """

    random: np.random.Generator = field(kw_only=True, repr=False)

    def __call__(self, data: Data, random: np.random.Generator | None = None) -> Data:
        """The changed events [M], or the sample with changed events and what else says where or when they are.

        random: chance of this call, instead of the augmentation's own.
        """
        chance = self.random if random is None else random
        if isinstance(data, Sample):
            return self._change_sample(data, chance)  # type: ignore[return-value]  # where Data is an array, data never is
        return self._change(data, chance)

    @abstractmethod
    def _change(self, events: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The changed events, in a new array."""

    def _change_sample(self, sample: Sample, random: np.random.Generator) -> Sample:
        """The sample with changed events; those that move pixels or bend time take the rest along."""
        return with_events(sample, self._change(sample.events.array, random))


@dataclass(frozen=True, eq=False)
class SensorAugmentation(Augmentation):
    """An augmentation that must know the sensor.

    sensor_size: (width, height), or Tonic's (width, height, 2).

    Raises:
        NeuvaError: for events outside the sensor, and for a sample of another one.
    """

    sensor_size: tuple[int, ...]

    def __call__(self, data: Data, random: np.random.Generator | None = None) -> Data:
        """See `Augmentation`."""
        width, height = self.sensor_size[:2]
        if isinstance(data, Sample):
            if data.events.sensor_size != (width, height):
                theirs = "x".join(map(str, data.events.sensor_size))
                raise NeuvaError(f"augmentation for {width}x{height} pixels on a sample of {theirs}: give it that size")
        else:
            as_events(data, self.sensor_size)
        return super().__call__(data, random)


def with_events(sample: Sample, array: np.ndarray, **others: Any) -> Sample:
    """The sample with other events of the same sensor, and other values of its other fields."""
    return replace(sample, events=Events(array, sample.events.sensor_size), **others)


def with_track(meta: dict[str, Any], times: np.ndarray, boxes: np.ndarray) -> dict[str, Any]:
    """The meta with another face track (see `BoxTrack`), as data sets keep it."""
    return {**meta, "face_track": {"times": times.tolist(), "boxes": boxes.tolist()}}


def drawn(value: Range, random: np.random.Generator) -> float:
    """The value, or one drawn from its range."""
    return float(random.uniform(*value)) if isinstance(value, tuple) else value


def check_range(what: str, value: Range, low: float, high: float) -> None:
    """Refuse a value or range that is not within [low, high].

    Raises:
        NeuvaError: names it.
    """
    ends = value if isinstance(value, tuple) else (value, value)
    if len(ends) != 2 or not low <= ends[0] <= ends[1] <= high:
        raise NeuvaError(f"{what} of {value}: needed a number or (lowest, highest) within {low:g} to {high:g}")
