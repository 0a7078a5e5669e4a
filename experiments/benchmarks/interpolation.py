"""How close to the truth simulated events come, by what is put between the frames of a video."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numba import njit

from datasets.events import Events
from datasets.simulator import preset, simulate
from datasets.simulator.interpolate import How, interpolated
from datasets.video import Frame
from experiments.benchmarks.measure import Benchmark, Cell, Table
from experiments.benchmarks.scenes import TRUTH_FPS, Scene, faces, textures

TRUE = "true frames"
"""The scene itself at the times of flow's sub-frames: as good as any interpolation can be."""


@dataclass(frozen=True)
class Closeness:
    """Simulated events against the true ones.

    events: their number over the true number. counts: Pearson's correlation of the events of each pixel and polarity.
    time_us: what it costs to make each pixel's train of events of a polarity into the true one, per true event: a
    moved event costs its way in microseconds, one too many or missing costs one interval of the video (the spike-time
    metric of Victor and Purpura, Journal of Neurophysiology 76, 1996, with their q = 1 / interval).
    """

    events: float
    counts: float
    time_us: float


@dataclass(frozen=True)
class Result:
    """One way between frames on one scene; subframes: parts an interval is cut into; frame_ms: to make a frame."""

    how: str
    closeness: Closeness
    subframes: float
    frame_ms: float | None


def closeness(truth: Events, found: Events, interval_us: float) -> Closeness:
    """Compare two streams of one sensor.

    With interval_us: the cost of an event without a partner (see `Closeness`).
    """
    (true_times, true_edges), (times, edges) = _by_pixel(truth), _by_pixel(found)
    cost = _total_cost(true_times, true_edges, times, edges, interval_us)
    counts = np.corrcoef(np.diff(true_edges), np.diff(edges))[0, 1]
    return Closeness(len(found) / len(truth), float(counts), cost / len(truth))


def compare(scene: Scene) -> Iterator[Result]:
    """Every way between the frames of a scene's video against the scene at `TRUTH_FPS`, with ideal pixels."""
    truth = _events(scene.frames(TRUTH_FPS))
    video = list(scene.frames(scene.fps))
    moments: list[int] = []
    for how in get_args(How):
        start = time.perf_counter()
        frames = list(interpolated(video, how))
        seconds = time.perf_counter() - start
        moments = [t_us for _, t_us in frames]
        yield _result(how, truth, frames, scene, None if how == "none" else seconds)
    shown = [round(t_us * TRUTH_FPS / 1e6) / TRUTH_FPS for t_us in moments]
    yield _result(TRUE, truth, [(scene.at(s), round(s * 1e6)) for s in shown], scene, None)


def run(progress: Callable[[int, int], None]) -> Benchmark:
    """Measure all scenes."""
    scenes = [*textures(), *faces()]
    rows: list[list[Cell]] = []
    for done, scene in enumerate(scenes):
        progress(done, len(scenes))
        for result in compare(scene):
            close = result.closeness
            found = (result.subframes, close.events, close.counts, close.time_us / 1e3, result.frame_ms)
            rows.append([scene.name, result.how, *found])
    progress(len(scenes), len(scenes))
    columns = [
        "scene",
        "between frames",
        "parts/interval",
        "events/true",
        "count correlation",
        "time error ms",
        "ms/frame",
    ]
    notes = [
        f"truth: the same scene, 128x128, at {TRUTH_FPS} frames/s; videos at 25 unless said; ideal pixels",
        "count correlation: events of each pixel and polarity against the true ones",
        "time error: cost per true event of moving each pixel's events onto the true ones, |dt| for each; one missing "
        "or too many costs an interval of the video",
        "a face whose teeth and lids come and go between frames 80 ms apart is no motion: flow finds wrong ones there",
        f"{TRUE}: the scene itself at the times of flow's sub-frames, as good as any interpolation can be",
    ]
    return Benchmark("interpolation", [Table("Events between frames, against a known truth", columns, rows, notes)])


def _result(how: str, truth: Events, frames: list[Frame], scene: Scene, seconds: float | None) -> Result:
    intervals = round(scene.seconds * scene.fps)
    close = closeness(truth, _events(frames), 1e6 / scene.fps)
    return Result(how, close, (len(frames) - 1) / intervals, None if seconds is None else seconds * 1e3 / len(frames))


def _events(frames: Iterable[Frame]) -> Events:
    kept = list(frames)
    return simulate([frame for frame, _ in kept], [t_us for _, t_us in kept], preset("ideal"), seed=0)


def _by_pixel(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Times sorted by polarity and pixel, float64 [N], and where each pixel's begin, int64 [2 P + 1]."""
    width, height = events.sensor_size
    array = events.array
    place = (array["p"].astype(np.int64) * height + array["y"]) * width + array["x"]
    edges = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=2 * width * height))])
    return array["t"][np.argsort(place, kind="stable")].astype(np.float64), edges


@njit(cache=True)
def _total_cost(
    true_times: np.ndarray, true_edges: np.ndarray, times: np.ndarray, edges: np.ndarray, alone: float
) -> float:
    total = 0.0
    for pixel in range(len(edges) - 1):
        true_train = true_times[true_edges[pixel] : true_edges[pixel + 1]]
        total += train_cost(true_train, times[edges[pixel] : edges[pixel + 1]], alone)
    return total


@njit(cache=True)
def train_cost(first: np.ndarray, second: np.ndarray, alone: float) -> float:
    """The least cost to make one sorted train of times the other: |dt| to move one, `alone` to add or take one."""
    costs = np.arange(len(second) + 1) * alone  # of the first i against each beginning of the second
    for i in range(len(first)):
        diagonal = costs[0]
        costs[0] += alone
        for j in range(len(second)):
            moved = diagonal + abs(first[i] - second[j])
            diagonal = costs[j + 1]
            costs[j + 1] = min(moved, diagonal + alone, costs[j] + alone)
    return costs[-1]
