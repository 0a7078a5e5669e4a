"""Runs a program on a recording and keeps what it gave: trace, CSV, picture."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from datasets.pictures import event_picture
from experiments.plots import estimate_over_time, save_png
from experiments.recording import Input, Recording
from hardware import devices
from hardware.program import ChipProgram
from hardware.trace import Trace
from neuva import atomic_path

SNAPSHOTS = 6


def run_input(program: ChipProgram, given: Input, on: str) -> Trace:
    """The trace of one recording; event by event where the place to run takes events, else in steps of dt."""
    if on == "emulator-events" and program.family == "speck":
        return devices.run_events(program, given.since_start(program.dt_us), len(given.x))
    return devices.run(program, given.x, on)


def save_run(trace: Trace, given: Input, recording: Recording, path: Path) -> tuple[Path, Path]:
    """Write the trace to `path` and, beside it, a CSV (the recording's own clock) and a picture; gives their paths.

    The CSV's column face is 1 where a face was found near, 0 where none was, empty where nobody looked.
    """
    trace.save(path)
    times = given.start_us + trace.times
    face = recording.face_near(times)
    seen = [""] * len(times) if face is None else face.astype(int).tolist()
    table, picture = path.with_suffix(".csv"), path.with_suffix(".png")
    with atomic_path(table) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["t_us", "valence", "arousal", "face"])
        for time, (valence, arousal), known in zip(times.tolist(), trace.va, seen, strict=True):
            writer.writerow([time, f"{valence:.6f}", f"{arousal:.6f}", known])
    title = f"{recording.name}: {trace.target} on {trace.backend}"
    snapshots = _snapshots(trace, given)
    save_png(estimate_over_time(trace.times / 1e6, trace.va, title, snapshots=snapshots, face=face), picture)
    return table, picture


def _snapshots(trace: Trace, given: Input) -> list[tuple[float, np.ndarray]]:
    """What the network saw at a few moments, spread over the run."""
    edges = np.linspace(0, trace.duration_us, SNAPSHOTS + 1).astype(np.int64)
    middles = (edges[:-1] + edges[1:]) // 2
    half = min(20_000, int(trace.duration_us) // (2 * SNAPSHOTS) + 1)
    return [
        (middle / 1e6, event_picture(given.events, given.start_us + middle - half, given.start_us + middle + half))
        for middle in middles.tolist()
    ]
