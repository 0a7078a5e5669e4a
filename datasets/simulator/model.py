"""The event camera's pixel in numbers: thresholds, bandwidth, noise and surround."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from neuva import NeuvaError


@dataclass(frozen=True)
class PixelModel:
    r"""One pixel of an event camera (the model of v2e: Hu, Liu and Delbruck, CVPR workshops 2021).

    Intensity x in digital numbers 0..255, brightness ``b = (x + 20) / 275``, time in seconds, N a standard normal:

    - log intensity: ``L(x) = x ln(20) / 20`` for ``x <= 20``, else ``ln x``
    - low pass: ``v += eps (L(x) - v)``, ``eps = min(1, 2 pi cutoff_hz dt b)``; no cutoff: ``v = L(x)``
    - centre-surround (``surround_px`` > 0): the pixel sees ``v - s`` instead of v, where the surround s is v spread by
      a resistive grid, ``tau_p ds/dt = v - s + surround_px^2 laplacian(s)``, ``tau_p`` = ``surround_ms``
      (Delbruck, Li, Graca and McReynolds, ICIP 2022); see `Surround`
    - residual ``r = v - base``: between two frames r goes in a straight line; where it reaches ``theta_on`` an ON
      event falls (``-theta_off``: OFF) and base moves by that threshold. With r taken at the end of the interval,
      that is ``floor(relu(r) / theta_on)`` ON and ``floor(relu(-r) / theta_off)`` OFF events
    - mismatch: thresholds are drawn once a pixel, ``max(0.01, theta + sigma N)``
    - leak: ``base -= dt leak_hz pattern (1 - leak_jitter N) (1 + (leak_in_bright - 1) b) theta_on``,
      ``pattern = 10^(leak_decades N)`` drawn once a pixel. Light on the pixel's reset switch adds to its leak
      (Nozaki and Delbruck, IEEE Trans. Electron Devices 2017), so that ON outweighs OFF in bright light
    - hot pixels: a share ``hot_share`` of the pixels, drawn once, leaks at ``hot_hz`` instead
    - shot noise: an ON event with probability ``shot_hz/2 dt (1 - (1 - shot_in_bright) b) theta / theta_on`` a
      frame, an OFF event likewise, at most one a pixel and frame. Base moves with it, so that one of the other
      polarity mostly follows. Its rate falls with light (Graca and Delbruck, IISW 2021)
    - refractory period: a pixel stays silent for ``refractory_us`` after an event (at least 1 us); its base waits
      too, so a crossing that still holds when the pixel is ready fires then

    A sensor that leaks has run before the first frame: its residuals start uniform in [0, theta_on), leak's resting
    distribution. Without leak they start at 0. Thresholds are in units of natural log intensity.

    v2e's noise is ``shot_in_bright = 0.25`` and ``leak_in_bright = 1``, the defaults.

    Raises:
        NeuvaError: if a threshold is below 0.01, a share above 1, or another value negative or not finite.
    """

    theta_on: float = 0.2
    theta_off: float = 0.2
    sigma: float = 0.0
    cutoff_hz: float = 0.0
    leak_hz: float = 0.0
    leak_jitter: float = 0.1
    leak_decades: float = 0.1
    leak_in_bright: float = 1.0
    hot_share: float = 0.0
    hot_hz: float = 0.0
    shot_hz: float = 0.0
    shot_in_bright: float = 0.25
    refractory_us: int = 0
    surround_px: float = 0.0
    surround_ms: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = SMALLEST_THRESHOLD if field.name.startswith("theta") else 0
            most = 1 if field.name in SHARES else math.inf
            if not math.isfinite(value) or not least <= value <= most:
                allowed = f"{least} to {most}" if math.isfinite(most) else f"{least} and more"
                raise NeuvaError(f"pixel model: {field.name} = {value}; allowed {allowed}: correct the setting")


SMALLEST_THRESHOLD = 0.01
"""Thresholds drawn below this are raised to it, as in v2e."""

SHARES = ("hot_share", "shot_in_bright")

DARK_OFFSET, BRIGHT_SPAN = 20, 275
"""(x + 20) / 275 is v2e's measure of how bright a pixel is, never 0, 1 at white."""
