"""Background activity: events that nothing in the scene caused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.augment.base import Range, SensorAugmentation, check_range, drawn


def add_noise(events: np.ndarray, sensor_size: tuple[int, ...], n: int, random: np.random.Generator) -> np.ndarray:
    """The events with n more, spread evenly over the sensor, both polarities and the time from first to last event.

    Sorted by time; of events at one time the given ones come first. Without events there is no time to spread over,
    and none is added.
    """
    if len(events) == 0:
        return events.copy()
    noise = np.empty(n, events.dtype)
    noise["t"] = np.sort(random.integers(int(events["t"][0]), int(events["t"][-1]), n, endpoint=True))
    for name, high in (("x", sensor_size[0]), ("y", sensor_size[1]), ("p", 2)):
        noise[name] = random.integers(high, size=n)
    both = np.concatenate([events, noise])
    return both[np.argsort(both["t"], kind="stable")]


@dataclass(frozen=True, eq=False)
class BackgroundActivity(SensorAugmentation):
    """Noise at a rate: a Poisson process at each pixel, ON and OFF equally likely.

    rate_hz: events a second and pixel, 0 to 1000; sensors give about 0.2 in light and 10 in the dark (Guo and Delbruck,
        IEEE TPAMI 2022).
    """

    rate_hz: Range = 0.2

    def __post_init__(self) -> None:
        check_range("noise rate in Hz", self.rate_hz, 0, 1000)

    def _change(self, events: np.ndarray, random: np.random.Generator) -> np.ndarray:
        width, height = self.sensor_size[:2]
        span_us = int(events["t"][-1]) - int(events["t"][0]) if len(events) else 0
        mean = drawn(self.rate_hz, random) * width * height * span_us / 1e6
        return add_noise(events, self.sensor_size, int(random.poisson(mean)), random)
