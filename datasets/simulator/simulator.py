"""Frames in, events out: the simulator and its state."""

from __future__ import annotations

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from datasets.events import EVENT_DTYPE, Events
from datasets.simulator import kernels
from datasets.simulator.model import BRIGHT_SPAN, SMALLEST_THRESHOLD, PixelModel
from datasets.simulator.surround import Surround
from neuva import NeuvaError

_NEVER = np.iinfo(np.int64).min // 4


class EventSimulator:
    """Turns the frames of one video into events, frame by frame (see `PixelModel` for the equations).

    The same frames, times, model and seed give the same events with any number of threads: thresholds and leak
    patterns are drawn from `seed` once, and a frame's noise depends on seed, frame number and pixel alone.

    Memory does not depend on the video's length: all buffers are reused, and grow only when a frame has more events
    than any before it.

    Args:
        sensor_size: (width, height) in pixels; every frame must have it.
        model: the pixel.
        seed: of all that is random.
        threads: how many share the pixels of a frame. They are plain threads of this object and take no lock, so that
            any number of simulators can run side by side in one process.

    Raises:
        NeuvaError: if the sensor has no pixel or a side of more than 32767, the seed is negative, or threads < 1.
    """

    def __init__(self, sensor_size: tuple[int, int], model: PixelModel, seed: int, threads: int = 1) -> None:
        width, height = sensor_size
        if not (1 <= width <= kernels.LONGEST_SIDE and 1 <= height <= kernels.LONGEST_SIDE):
            raise NeuvaError(f"sensor of {width}x{height}: allowed are sides of 1 to {kernels.LONGEST_SIDE} pixels")
        if seed < 0:
            raise NeuvaError(f"seed {seed}: allowed 0 and more")
        if threads < 1:
            raise NeuvaError(f"{threads} threads: allowed 1 and more")
        self.sensor_size = sensor_size
        self.model = model
        self._noise_seed = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
        self._state = _fresh_state(model, width * height, seed)
        self._most_events = 1 / min(self._state.theta_on.min(), self._state.theta_off.min())  # a unit of log intensity
        self._surround: Surround | None = None
        self._spans = _spans(width * height, threads)
        self._pool = ThreadPoolExecutor(len(self._spans) - 1) if len(self._spans) > 1 else None
        self._keys = np.empty(1 << 16, np.int64)
        self._events = np.empty(1 << 16, EVENT_DTYPE)
        self._t = 0
        self._number = 0

    def feed(self, frame: np.ndarray, t_us: int) -> np.ndarray:
        """The events between the last frame and this one; the first frame gives none, whatever its time.

        Args:
            frame: uint8 [H, W], intensity.
            t_us: its time in microseconds, later than the last frame's.

        Returns:
            `EVENT_DTYPE` array sorted by t, ties by row, column and polarity; the last frame's time < t <= t_us.
            It is the caller's to keep.

        Raises:
            NeuvaError: if the frame is not uint8 [H, W] of the sensor's size, or time does not advance.
        """
        return self.feed_view(frame, t_us).copy()

    def feed_view(self, frame: np.ndarray, t_us: int) -> np.ndarray:
        """As `feed`, without the copy: a read-only view of the simulator's buffer, valid until the next frame."""
        t_us = int(t_us)
        self._check(frame, t_us)
        values = np.ascontiguousarray(frame).reshape(-1)
        count = 0
        if self._number == 0:
            self._look(values)
        else:
            count = self._advance(values, t_us - self._t)
        self._t = t_us
        self._number += 1
        view = self._events[:count]
        view.flags.writeable = False
        return view

    def _look(self, values: np.ndarray) -> None:
        """Take the first frame as what the sensor has looked at for long."""
        self._state.filtered[:] = kernels.log_intensity(values)
        if self.model.surround_px > 0:
            picture = self._state.filtered.reshape(self.sensor_size[::-1])
            self._surround = Surround(picture.shape, self.model.surround_px, self.model.surround_ms, picture)

    def _advance(self, values: np.ndarray, dt: int) -> int:
        """Move all pixels on by dt and leave the events in the buffer; returns how many."""
        rates = _rates(self.model, dt * 1e-6)
        if self._surround is not None:
            self._see_surround(self._surround, values, rates, dt * 1e-6)
        work = [(span, values, dt, rates) for span in self._spans]
        others = [self._pool.submit(self._step, *job) for job in work[1:]] if self._pool is not None else []
        self._step(*work[0])
        for other in others:
            other.result()
        keys = self._gathered()
        keys.sort()
        if len(self._events) < len(keys):
            self._events = np.empty(2 * len(keys), EVENT_DTYPE)
        kernels.unpack(keys, self._t, self._events[: len(keys)])
        return len(keys)

    def _see_surround(self, surround: Surround, values: np.ndarray, rates: kernels.Rates, seconds: float) -> None:
        state = self._state
        kernels.respond(values, state.filtered, state.change, rates.gain)
        state.change[:] -= surround.follow(state.filtered.reshape(self.sensor_size[::-1]), seconds).reshape(-1)

    def _step(self, span: _Span, values: np.ndarray, dt: int, rates: kernels.Rates) -> None:
        span.keys, span.count = kernels.step(
            values, self._number, self._t, dt, self.sensor_size[0], span.first, span.stop, rates,
            self._state, self._noise_seed, span.scratch, span.keys, self._most_events,
        )  # fmt: skip

    def _gathered(self) -> np.ndarray:
        """The keys of all spans in one buffer."""
        if len(self._spans) == 1:
            return self._spans[0].keys[: self._spans[0].count]
        count = sum(span.count for span in self._spans)
        if len(self._keys) < count:
            self._keys = np.empty(2 * count, np.int64)
        return np.concatenate([span.keys[: span.count] for span in self._spans], out=self._keys[:count])

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


class _Span:
    """The pixels `first` to before `stop`, one thread's share, and that thread's buffers."""

    def __init__(self, first: int, stop: int) -> None:
        self.first, self.stop = first, stop
        self.scratch = kernels.new_scratch()
        self.keys = np.empty(1 << 16, np.int64)
        self.count = 0


def _spans(pixels: int, threads: int) -> list[_Span]:
    """Cut the pixels into equal spans, of whole chunks as long as there are enough."""
    threads = min(threads, math.ceil(pixels / kernels.CHUNK))
    edges = [pixels * number // threads for number in range(threads + 1)]
    return [_Span(first, stop) for first, stop in pairwise(edges)]


def _fresh_state(model: PixelModel, pixels: int, seed: int) -> kernels.PixelState:
    random = np.random.default_rng(seed)
    theta_on, theta_off = (
        _on_grid(np.maximum(SMALLEST_THRESHOLD, random.normal(theta, model.sigma, pixels)))
        for theta in (model.theta_on, model.theta_off)
    )
    pattern = 10 ** random.normal(0, model.leak_decades, pixels)
    at_rest = random.random(pixels) * theta_on
    hot = random.random(pixels) < model.hot_share
    leak_hz = np.where(hot, model.hot_hz, model.leak_hz * pattern)
    leaks = bool(leak_hz.any())
    return kernels.PixelState(
        filtered=np.empty(pixels),
        residual=at_rest if leaks else np.zeros(pixels),
        theta_on=theta_on,
        theta_off=theta_off,
        leak=leak_hz * theta_on if leaks else np.empty(0),
        last=np.full(pixels, _NEVER, np.int64),
        change=np.empty(pixels if model.surround_px > 0 else 0),
    )


def _rates(model: PixelModel, seconds: float) -> kernels.Rates:
    shot = model.shot_hz / 2 * seconds
    return kernels.Rates(
        gain=2 * math.pi * model.cutoff_hz * seconds / BRIGHT_SPAN if model.cutoff_hz > 0 else math.inf,
        leak=seconds,
        leak_slope=seconds * (model.leak_in_bright - 1) / BRIGHT_SPAN,
        jitter=float(model.leak_jitter),
        shot=shot,
        shot_slope=shot * (1 - model.shot_in_bright) / BRIGHT_SPAN,
        theta_on=float(model.theta_on),
        theta_off=float(model.theta_off),
        refractory=max(1, int(model.refractory_us)),
    )


def _on_grid(values: np.ndarray) -> np.ndarray:
    return np.round(values * kernels.GRID) / kernels.GRID
