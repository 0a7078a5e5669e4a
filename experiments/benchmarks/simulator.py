"""`neuva bench simulator`: video to events, by motion, preset and threads, beside v2e's definition in numpy."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import cv2
import numpy as np

from datasets.simulator import EventSimulator, preset
from experiments.benchmarks.measure import Benchmark, Cell, Table, best_of
from experiments.benchmarks.v2e_numpy import NumpyV2e

SIZE = (346, 260)
INTERVAL_US = 3333
"""Between frames: 300 frames/s, what a face's video has after interpolation to one pixel of motion a frame."""

MOTION_PX = {"slow": 0.25, "mid": 1.0, "fast": 4.0}
"""Pixels a frame."""

PRESETS = ("ideal", "v2e", "noisy")
THREADS = (1, 2)
FRAMES = 40
SECONDS = 0.5

ROUNDING = "in float32, as in v2e, a pixel that comes back to exactly where it was may miss its last event: hence fewer"

PUBLISHED = (
    "measured elsewhere on a like machine, not in this run, 346x260, 8 to 10 thousand events a frame, one thread, "
    "frames/s: v2e 1.6 with its defaults 141, noisy 121, clean 344, with centre-surround 22; OpenEB 5.1 noisy 318, "
    "clean 1,129; IEBCS 57; DVS-Voltmeter 42"
)

Feed = Callable[[np.ndarray, int], Any]


def run(update: Callable[..., None]) -> Benchmark:
    """Time the simulator on a moving texture; frames are in memory before the clock starts."""
    jobs = len(PRESETS) * (len(MOTION_PX) * len(THREADS) + 1)
    steps = count(1)
    rows: list[list[Cell]] = []
    ours: dict[str, float] = {}
    for motion, pixels in MOTION_PX.items():
        frames = there_and_back(moving_texture(pixels, FRAMES))
        touched = len(frames) / best_of(lambda frames=frames: _copy(frames), seconds=SECONDS)  # type: ignore[misc]
        for name in PRESETS:
            for threads in THREADS:
                pace = _measure(EventSimulator(SIZE, preset(name), 0, threads).feed_view, frames)
                per_second = (pace.rate, pace.rate * SIZE[0] * SIZE[1] / 1e6, pace.rate * pace.events / 1e6)
                rows.append([name, motion, threads, round(pace.events), *per_second, pace.own_us, touched / pace.rate])
                if motion == "mid" and threads == 1:
                    ours[name] = pace.rate
                update(next(steps), jobs)
    peers: list[list[Cell]] = []
    for name in PRESETS:
        peers += _peers(name, ours[name], lambda: update(next(steps), jobs))
    speeds = ("frames/s", "Mpixel/s", "Mevents/s", "own us", "times a copy")
    columns = ("preset", "motion", "threads", "events a frame", *speeds)
    motions = ", ".join(f"{motion} {pixels:g}" for motion, pixels in MOTION_PX.items())
    notes = (
        f"{SIZE[0]}x{SIZE[1]}, a texture that moves by {motions} pixel a frame, {1e6 / INTERVAL_US:.0f} frames/s",
        "times a copy: how much longer than merely reading and writing the frames' bytes",
        "own us: what a frame costs the calling thread, in microseconds of a core; two threads share a frame, which is "
        "sooner done only where both cores are idle",
    )
    beside = ("simulator", "preset", "events a frame", "frames/s", "neuva is faster by")
    return Benchmark(
        "simulator",
        [
            Table("Video to events", columns, rows, notes),
            Table("Beside v2e's definition, mid motion, one thread", beside, peers, (ROUNDING, PUBLISHED)),
        ],
    )


def moving_texture(pixels: float, frames: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A smooth random texture that moves left by so many pixels a frame: uint8 [frames, H, W]."""
    width, height = size
    shape = height + 64, width + int(np.ceil(pixels * frames)) + 64
    texture = cv2.GaussianBlur(np.random.default_rng(0).standard_normal(shape), (0, 0), 4.0)
    texture = np.clip(110 + 26 * texture / texture.std(), 0, 255)
    shifts = [np.array([[1, 0, -32 - pixels * number], [0, 1, -32.0]]) for number in range(frames)]
    return np.stack([cv2.warpAffine(texture, shift, size) for shift in shifts]).astype(np.uint8)


def there_and_back(frames: np.ndarray) -> np.ndarray:
    """The frames and back again, so that they can be shown in a circle without a jump."""
    return np.concatenate([frames, frames[-2:0:-1]])


def _copy(frames: np.ndarray) -> None:
    written = np.empty_like(frames[0])
    for frame in frames:
        np.copyto(written, frame)


@dataclass(frozen=True)
class Pace:
    """Frames a second, events a frame, and microseconds of a core that the calling thread spends on a frame."""

    rate: float
    events: float
    own_us: float


def _measure(feed: Feed, frames: np.ndarray) -> Pace:
    """Show the frames in a circle, time running on; after the first round every round is the same but for noise."""
    clock = count(0, INTERVAL_US)
    found, own = 0, math.inf

    def circle() -> None:
        nonlocal found, own
        start = time.thread_time()
        found = sum(len(feed(frame, next(clock))) for frame in frames)
        own = min(own, time.thread_time() - start)

    rate = len(frames) / best_of(circle, seconds=SECONDS)
    return Pace(rate, found / len(frames), own / len(frames) * 1e6)


def _peers(name: str, ours: float, done: Callable[[], None]) -> list[list[Cell]]:
    frames = there_and_back(moving_texture(MOTION_PX["mid"], FRAMES))
    peer = NumpyV2e(preset(name), SIZE[::-1], 0)
    feeds: dict[str, Feed | None] = {
        "v2e's definition in numpy": lambda frame, t: peer.feed(frame, t * 1e-6),
        "v2e (v2ecore)": _installed_v2e(name),
    }
    rows: list[list[Cell]] = []
    for title, feed in feeds.items():
        if feed is None:
            continue
        pace = _measure(feed, frames)
        rows.append([title, name, round(pace.events), pace.rate, ours / pace.rate])
    done()
    return rows


def _installed_v2e(name: str) -> Feed | None:
    """v2e itself, where a user has installed it from its repository."""
    try:
        from v2ecore.emulator import EventEmulator  # a guest
    except ImportError:
        return None
    model = preset(name)
    emulator = EventEmulator(
        pos_thres=model.theta_on,
        neg_thres=model.theta_off,
        sigma_thres=model.sigma,
        cutoff_hz=model.cutoff_hz,
        leak_rate_hz=model.leak_hz,
        shot_noise_rate_hz=model.shot_hz,
        refractory_period_s=model.refractory_us * 1e-6,
        device="cpu",
    )

    def feed(frame: np.ndarray, t_us: int) -> Any:
        events = emulator.generate_events(frame, t_us * 1e-6)
        return events if events is not None else ()

    return feed
