"""The event camera's pixel in numbers: thresholds, bandwidth and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from neuva import NeuvaError


@dataclass(frozen=True)
class PixelModel:
    r"""One pixel of an event camera (the model of v2e: Hu, Liu and Delbruck, CVPR workshops 2021).

    Intensity x in digital numbers 0..255, time in seconds, N a standard normal, U uniform in [0, 1):

    - log intensity: ``L(x) = x ln(20) / 20`` for ``x <= 20``, else ``ln x``
    - low pass: ``v += eps (L(x) - v)``, ``eps = min(1, 2 pi cutoff_hz dt (x + 20) / 275)``; no cutoff: ``v = L(x)``
    - residual ``r = v - base``: between two frames r goes in a straight line; where it reaches ``theta_on`` an ON
      event falls (``-theta_off``: OFF) and base moves by that threshold. With r taken at the end of the interval,
      that is ``floor(relu(r) / theta_on)`` ON and ``floor(relu(-r) / theta_off)`` OFF events
    - mismatch: thresholds are drawn once a pixel, ``max(0.01, theta + sigma N)``
    - leak: ``base -= dt leak_hz pattern (1 - leak_jitter N) theta_on``,
      ``pattern = 10^(leak_decades N)`` drawn once a pixel
    - shot noise: an ON event with probability ``shot_hz/2 dt (1 - 0.75 (x + 20) / 275) theta / theta_on`` a
      frame, an OFF event likewise, at most one a pixel and frame. Base moves with it, so that one of the other
      polarity mostly follows
    - refractory period: a pixel stays silent for ``refractory_us`` after an event (at least 1 us); its base waits
      too, so a crossing that still holds when the pixel is ready fires then

    A sensor with leak has run before the first frame: its residuals start uniform in [0, theta_on), leak's resting
    distribution. Without leak they start at 0. Thresholds are in units of natural log intensity.

    Raises:
        NeuvaError: if a threshold is below 0.01 or another value is negative or not finite.
    """

    theta_on: float = 0.2
    theta_off: float = 0.2
    sigma: float = 0.0
    cutoff_hz: float = 0.0
    leak_hz: float = 0.0
    leak_jitter: float = 0.1
    leak_decades: float = 0.1
    shot_hz: float = 0.0
    refractory_us: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = SMALLEST_THRESHOLD if field.name.startswith("theta") else 0
            if not math.isfinite(value) or value < least:
                raise NeuvaError(f"pixel model: {field.name} = {value}; allowed {least} and more: correct the setting")


SMALLEST_THRESHOLD = 0.01
"""Thresholds drawn below this are raised to it, as in v2e."""

PRESETS = {
    "ideal": PixelModel(),  # the equations without mismatch, bandwidth or noise
    "clean": PixelModel(sigma=0.02),  # v2e --dvs_params clean
    "noisy": PixelModel(sigma=0.05, cutoff_hz=30, leak_hz=0.1, shot_hz=5),  # v2e --dvs_params noisy: a dim room
    "v2e": PixelModel(  # v2e's command-line defaults
        sigma=0.03, cutoff_hz=300, leak_hz=0.01, shot_hz=0.001, refractory_us=500
    ),
}


def preset(name: str) -> PixelModel:
    """The preset of that name.

    Raises:
        NeuvaError: if there is none.
    """
    if name not in PRESETS:
        raise NeuvaError(f"pixel model {name!r} is not known: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
