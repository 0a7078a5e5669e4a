"""Frames in, events out: the simulator and its state."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from datasets.events import EVENT_DTYPE, Events
from datasets.simulator import kernels
from datasets.simulator.model import SMALLEST_THRESHOLD, PixelModel
from neuva import NeuvaError

GRID = 2.0**32
"""Log intensities and thresholds are multiples of 1/GRID, so that adding and taking thresholds is exact in float64."""

LINEAR_UP_TO = 20
"""Digital numbers up to this are mapped linearly, brighter ones by their logarithm."""

DARK_OFFSET, BRIGHT_SPAN = 20, 275
"""(x + 20) / 275 is v2e's measure of how bright a pixel is, never 0, about 1 at white."""

SHOT_IN_BRIGHT = 0.25
"""Shot noise at full brightness as a share of that in the dark."""

_NEVER = np.iinfo(np.int64).min // 4
_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / 1024) for i in range(1024)])


class EventSimulator:
    """Turns the frames of one video into events, frame by frame (see `PixelModel` for the equations).

    The same frames, times, model and seed give the same events: thresholds and leak patterns are drawn from `seed`
    once, and a frame's noise depends on seed, frame number and pixel alone.

    Args:
        sensor_size: (width, height) in pixels; every frame must have it.
        model: the pixel.
        seed: of all that is random.

    Raises:
        NeuvaError: if the sensor has no pixel or more than 2^24, or the seed is negative.
    """

    def __init__(self, sensor_size: tuple[int, int], model: PixelModel, seed: int) -> None:
        width, height = sensor_size
        pixels = width * height
        if width < 1 or height < 1 or pixels > kernels.MOST_PIXELS:
            raise NeuvaError(f"sensor of {width}x{height}: allowed are 1 to {kernels.MOST_PIXELS} pixels")
        if seed < 0:
            raise NeuvaError(f"seed {seed}: allowed 0 and more")
        self.sensor_size = sensor_size
        self.model = model
        self._noise_seed = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
        self._state = _fresh_state(model, pixels, seed)
        self._keys = np.empty(1 << 16, np.int64)
        self._t = 0
        self._number = 0

    def feed(self, frame: np.ndarray, t_us: int) -> np.ndarray:
        """The events between the last frame and this one; the first frame gives none, whatever its time.

        Args:
            frame: uint8 [H, W], intensity.
            t_us: its time in microseconds, later than the last frame's.

        Returns:
            `EVENT_DTYPE` array sorted by t, ties by row, column and polarity; the last frame's time < t <= t_us.

        Raises:
            NeuvaError: if the frame is not uint8 [H, W] of the sensor's size, or time does not advance.
        """
        t_us = int(t_us)
        self._check(frame, t_us)
        values = np.ascontiguousarray(frame).reshape(-1)
        if self._number == 0:
            self._state.filtered[:] = log_intensity(values)
            events = np.empty(0, EVENT_DTYPE)
        else:
            events = self._advance(values, t_us - self._t)
        self._t = t_us
        self._number += 1
        return events

    def _advance(self, values: np.ndarray, dt: int) -> np.ndarray:
        tables = _tables(self.model, dt * 1e-6)
        pixel = count = 0
        while pixel < len(values):
            if pixel > 0:
                self._keys = np.concatenate([self._keys, np.empty_like(self._keys)])
            pixel, count = kernels.step(
                values, self._number, self._t, dt, tables, self._state,
                self._noise_seed, max(1, self.model.refractory_us), pixel, self._keys, count,
            )  # fmt: skip
        keys = self._keys[:count]
        keys.sort()
        events = np.empty(count, EVENT_DTYPE)
        kernels.unpack(keys, self._t, self.sensor_size[0], events)
        return events

    def _check(self, frame: np.ndarray, t_us: int) -> None:
        width, height = self.sensor_size
        if frame.dtype != np.uint8 or frame.shape != (height, width):
            raise NeuvaError(
                f"frame {self._number} is {frame.dtype} {list(frame.shape)}; needed uint8 [{height}, {width}]: "
                "convert it to 8-bit grey and scale it to the sensor"
            )
        if self._number > 0 and not 0 < t_us - self._t <= kernels.LONGEST_STEP_US:
            raise NeuvaError(
                f"frame {self._number} is at {t_us} us, the one before at {self._t} us: "
                f"times must advance, by at most {kernels.LONGEST_STEP_US} us"
            )


def simulate(frames: Iterable[np.ndarray], times: Iterable[int], model: PixelModel, seed: int) -> Events:
    """The events of a whole video; `frames` and `times` (microseconds) may be generators.

    Raises:
        NeuvaError: if there is no frame, there are more frames than times or the reverse, or as `EventSimulator.feed`.
    """
    simulator: EventSimulator | None = None
    parts: list[np.ndarray] = []
    try:
        for frame, t_us in zip(frames, times, strict=True):
            if simulator is None:
                simulator = EventSimulator((frame.shape[1], frame.shape[0]), model, seed)
            parts.append(simulator.feed(frame, t_us))
    except ValueError as error:
        raise NeuvaError(f"frames and times differ in number ({error}): give each frame its time") from error
    if simulator is None:
        raise NeuvaError("no frames to simulate: give at least one")
    return Events(np.concatenate(parts), simulator.sensor_size)


def log_intensity(x: np.ndarray) -> np.ndarray:
    """v2e's lin-log map, ``x ln(20) / 20`` up to 20 and ``ln x`` above, rounded to 1/GRID (v2e rounds to 1e-8)."""
    x = np.asarray(x, np.float64)
    linear = x * (np.log(LINEAR_UP_TO) / LINEAR_UP_TO)
    return _on_grid(np.where(x <= LINEAR_UP_TO, linear, np.log(np.maximum(x, 1))))


def _fresh_state(model: PixelModel, pixels: int, seed: int) -> kernels.PixelState:
    random = np.random.default_rng(seed)
    theta_on, theta_off = (
        _on_grid(np.maximum(SMALLEST_THRESHOLD, random.normal(theta, model.sigma, pixels)))
        for theta in (model.theta_on, model.theta_off)
    )
    leaks = model.leak_hz > 0
    pattern = 10 ** random.normal(0, model.leak_decades, pixels)
    at_rest = random.random(pixels) * theta_on
    return kernels.PixelState(
        filtered=np.empty(pixels),
        residual=at_rest if leaks else np.zeros(pixels),
        theta_on=theta_on,
        theta_off=theta_off,
        leak=model.leak_hz * pattern * theta_on if leaks else np.empty(0),
        last=np.full(pixels, _NEVER, np.int64),
    )


@lru_cache(maxsize=64)  # a video has few different frame intervals
def _tables(model: PixelModel, seconds: float) -> kernels.Tables:
    numbers = np.arange(256)
    brightness = (numbers + DARK_OFFSET) / BRIGHT_SPAN
    shot = model.shot_hz / 2 * seconds * (1 - (1 - SHOT_IN_BRIGHT) * brightness)
    return kernels.Tables(
        level=log_intensity(numbers),
        gain=np.minimum(1, 2 * np.pi * model.cutoff_hz * seconds * brightness) if model.cutoff_hz > 0 else np.ones(256),
        shot_on=shot * model.theta_on,
        shot_off=shot * model.theta_off,
        jitter=1 - model.leak_jitter * _NORMAL,
    )


def _on_grid(values: np.ndarray) -> np.ndarray:
    return np.round(values * GRID) / GRID
