"""v2e's pixel in plain numpy: the peer that is always there, as v2e itself is on no package registry."""

from __future__ import annotations

import numpy as np

from datasets.simulator import PixelModel

SHOT_IN_BRIGHT = 0.25


class NumpyV2e:
    """v2e's definition (Hu, Liu and Delbruck 2021), whole frames at a time in float32, with its time stamps.

    All events of a frame share the time stamps of its busiest pixel; events in the refractory period are dropped and
    leave the base where it is; the base moves by the events that remain. Times are float32 seconds.
    """

    def __init__(self, model: PixelModel, shape: tuple[int, int], seed: int) -> None:
        self.model = model
        self._random = np.random.default_rng(seed)
        self._on, self._off = (
            np.maximum(0.01, self._normal(shape) * model.sigma + theta).astype(np.float32)
            for theta in (model.theta_on, model.theta_off)
        )
        self._pattern = (10 ** (model.leak_decades * self._normal(shape))).astype(np.float32)
        self._last = np.full(shape, -model.refractory_us * 1e-6, np.float32)
        self._base = np.empty(0, np.float32)  # until the first frame
        self._filtered = np.empty(shape, np.float32)
        self._t = 0.0

    def feed(self, frame: np.ndarray, t: float) -> np.ndarray:
        """Events of a frame at t seconds, float32 [N, 4]: time, x, y, polarity of +1 or -1."""
        level = _log_intensity(frame)
        if self._base.size == 0:
            self._base, self._filtered, self._t = level.copy(), level, t
            return np.empty((0, 4), np.float32)
        model, dt = self.model, t - self._t
        bright = (frame.astype(np.float32) + 20) / 275
        if model.cutoff_hz > 0:
            gain = np.minimum(bright * (dt * 2 * np.pi * model.cutoff_hz), 1)
            self._filtered = (1 - gain) * self._filtered + gain * level
        else:
            self._filtered = level
        if model.leak_hz > 0:
            rate = model.leak_hz * self._pattern * (1 - model.leak_jitter * self._normal(frame.shape))
            self._base -= dt * rate * self._on
        events = self._fire(dt)
        if model.shot_hz > 0:
            events += self._shots(dt, bright, t)
        self._t = t
        return np.concatenate(events) if events else np.empty((0, 4), np.float32)

    def _fire(self, dt: float) -> list[np.ndarray]:
        difference = self._filtered - self._base
        rises = np.floor_divide(np.maximum(difference, 0), self._on).astype(np.int32)
        falls = np.floor_divide(np.maximum(-difference, 0), self._off).astype(np.int32)
        rounds = int(max(rises.max(), falls.max()))
        stamps = np.linspace(self._t + dt / max(rounds, 1), self._t + dt, max(rounds, 1), dtype=np.float32)
        sent_on, sent_off = np.zeros_like(rises), np.zeros_like(falls)
        refractory = self.model.refractory_us * 1e-6
        events: list[np.ndarray] = []
        for number, stamp in enumerate(stamps[:rounds], 1):
            on, off = rises >= number, falls >= number
            if refractory > dt / rounds:
                ready = stamp - self._last >= refractory
                on, off = on & ready, off & ready
                self._last[on | off] = stamp
            sent_on += on
            sent_off += off
            events += [_rows(on, stamp, 1), _rows(off, stamp, -1)]
        self._base += sent_on * self._on - sent_off * self._off
        return events

    def _shots(self, dt: float, bright: np.ndarray, t: float) -> list[np.ndarray]:
        share = self.model.shot_hz / 2 * dt * ((SHOT_IN_BRIGHT - 1) * bright + 1)
        chance = self._random.random(bright.shape, np.float32)
        on = chance > 1 - share * (self.model.theta_on / self._on)
        off = chance < share * (self.model.theta_off / self._off)
        self._base += on * self._on - off * self._off
        return [_rows(on, t, 1), _rows(off, t, -1)]

    def _normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._random.standard_normal(shape, np.float32)


def _log_intensity(frame: np.ndarray) -> np.ndarray:
    x = frame.astype(np.float64)
    level = np.where(x <= 20, x * (np.log(20) / 20), np.log(np.maximum(x, 1)))
    return np.round(level, 8).astype(np.float32)


def _rows(where: np.ndarray, t: float, polarity: int) -> np.ndarray:
    y, x = np.nonzero(where)
    rows = np.empty((len(x), 4), np.float32)
    rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3] = t, x, y, polarity
    return rows
