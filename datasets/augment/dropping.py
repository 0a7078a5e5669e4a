"""Events left out: some of all, those of a while, those of a box (EventDrop: Gu et al., IJCAI 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.augment.base import Augmentation, Range, SensorAugmentation, check_range, drawn


def drop_share(events: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """All but ``floor(share N + 1/2)`` events, each as likely as the others to go."""
    kept = np.ones(len(events), bool)
    kept[random.choice(len(events), int(share * len(events) + 0.5), replace=False, shuffle=False)] = False
    return events[kept]


def drop_between(events: np.ndarray, start: int, stop: int) -> np.ndarray:
    """All but the events with start <= t < stop (microseconds)."""
    return events[(events["t"] < start) | (events["t"] >= stop)]


def drop_box(events: np.ndarray, x: int, y: int, width: int, height: int) -> np.ndarray:
    """All but the events in the box of pixels that begins at (x, y)."""
    in_x = (events["x"] >= x) & (events["x"] < x + width)
    in_y = (events["y"] >= y) & (events["y"] < y + height)
    return events[~(in_x & in_y)]


@dataclass(frozen=True, eq=False)
class DropByChance(Augmentation):
    """A share of all events is left out, 0 to 1. As Tonic's ``DropEvent``."""

    share: Range = 0.2

    def __post_init__(self) -> None:
        check_range("share to drop", self.share, 0, 1)

    def _change(self, events: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return drop_share(events, drawn(self.share, random), random)


@dataclass(frozen=True, eq=False)
class DropByTime(Augmentation):
    """The events of a while are left out: a share of the recording's span, 0 to 1, anywhere inside it.

    Tonic's ``DropEventByTime`` is the same for recordings that start at 0; on a camera's own clock its while lies
    anywhere between 0 and the end, and so mostly before the recording.
    """

    share: Range = 0.2

    def __post_init__(self) -> None:
        check_range("share to drop", self.share, 0, 1)

    def _change(self, events: np.ndarray, random: np.random.Generator) -> np.ndarray:
        if len(events) == 0:
            return events.copy()
        first, last = int(events["t"].min()), int(events["t"].max())
        span = last + 1 - first
        length = round(drawn(self.share, random) * span)
        start = first + int(random.integers(span - length, endpoint=True))
        return drop_between(events, start, start + length)


@dataclass(frozen=True, eq=False)
class DropByArea(SensorAugmentation):
    """The events of a box are left out: a share of each side of the sensor, 0 to 1, anywhere inside it.

    As Tonic's ``DropEventByArea``, but that its box never touches the right and lower edge, and that its range of
    shares begins at the highest.
    """

    share: Range = 0.2

    def __post_init__(self) -> None:
        check_range("share to drop", self.share, 0, 1)

    def _change(self, events: np.ndarray, random: np.random.Generator) -> np.ndarray:
        share = drawn(self.share, random)
        sides = [(side, int(side * share)) for side in self.sensor_size[:2]]
        x, y = (int(random.integers(side - cut, endpoint=True)) for side, cut in sides)
        return drop_box(events, x, y, sides[0][1], sides[1][1])
