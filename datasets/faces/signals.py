"""Random functions of continuous time, so that a clip is the same at any frame rate."""

from __future__ import annotations

import numpy as np


class Wander:
    """Smooth noise of zero mean and unit deviation: a sum of sinusoids with random phases.

    Frequencies are spread up to `rate` (hertz); calling it with times in seconds [T] gives [T].
    """

    def __init__(self, rng: np.random.Generator, rate: float, waves: int = 9) -> None:
        self._frequency = 2 * np.pi * rate * (np.arange(waves) + rng.uniform(0.2, 0.8, waves)) / waves
        self._phase = rng.uniform(0, 2 * np.pi, waves)

    def __call__(self, t: np.ndarray) -> np.ndarray:
        """Values at times t."""
        return np.sin(np.outer(t, self._frequency) + self._phase).sum(axis=1) * np.sqrt(2 / len(self._phase))


def glide(t: np.ndarray, times: np.ndarray, values: np.ndarray, duration: np.ndarray) -> np.ndarray:
    """Values held between moves: at times[k] a minimum-jerk move of duration[k] seconds starts toward values[k + 1].

    The move is 10u^3 - 15u^4 + 6u^5 (Flash & Hogan, J. Neurosci. 5, 1985). values [K + 1, ...] -> [T, ...].
    """
    u = np.clip((np.asarray(t)[:, None] - times) / duration, 0, 1)
    return values[0] + (u**3 * (10 - 15 * u + 6 * u * u)) @ np.diff(values, axis=0)


def pulses(t: np.ndarray, starts: np.ndarray, rise: float, fall: float) -> np.ndarray:
    """The largest of smooth bumps to 1 that start at `starts`, rise and fall for so many seconds; [T]."""
    since = np.asarray(t)[:, None] - starts
    up = np.sin(np.clip(since / rise, 0, 1) * np.pi / 2)
    down = np.cos(np.clip((since - rise) / fall, 0, 1) * np.pi / 2)
    return (up * down).max(axis=1, initial=0.0) ** 2


def arrivals(rng: np.random.Generator, seconds: float, rate: float, apart: float) -> np.ndarray:
    """Times in [0, seconds) of a random process of `rate` per second with at least `apart` seconds between."""
    mean = max(1 / rate - apart, 0.05)
    steps = apart + rng.exponential(mean, size=int(seconds * rate * 3) + 8)
    times = rng.uniform(0, 1 / rate) + np.concatenate([[0.0], np.cumsum(steps)])
    return times[times < seconds]
