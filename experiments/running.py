"""Runs a program on a recording and keeps what it gave: trace, CSV, picture of valence and arousal."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from datasets.pictures import event_picture
from experiments.plots import estimate_over_time, save_png
from experiments.recording import Input, Recording
from hardware import devices
from hardware.origin import input_sha256, stamped
from hardware.program import ChipProgram
from hardware.trace import Trace
from neuva import NeuvaError, atomic_path

SNAPSHOTS = 6
STATES = {("loihi", "emulator"): ("u", "v"), ("loihi", "lava"): ("u", "v"), ("speck", "emulator"): ("v",)}
"""What of a neuron's state can be kept, per family and place to run."""
MOST_BYTES = 2 << 30


def run_input(program: ChipProgram, given: Input, on: str, record: Collection[str] = ()) -> Trace:
    """The trace of one recording; event by event where the place to run takes events, else in steps of dt.

    Args:
        record: "u" and "v", as far as every neuron's is to be kept.

    Raises:
        NeuvaError: if it does not run there, or its states are not to be had there or too many.
    """
    _require_states(program, given, on, record)
    if given.events is not None and devices.takes_events(program, on):
        return devices.run_events(program, given.since_start(program.dt_us), len(given.x), on)
    trace = devices.run(program, given.x, on, record_state=bool(record))
    return replace(trace, u=trace.u if "u" in record else {}, v=trace.v if "v" in record else {})


def with_origin(trace: Trace, program: ChipProgram, given: Input, clip: str) -> Trace:
    """The trace with what it is of in its notes (`hardware.origin`), by whichever way it was made."""
    events = None if given.events is None else given.since_start(program.dt_us)
    return stamped(trace, program, input_sha256(given.x, events, program.dt_us), clip)


def _require_states(program: ChipProgram, given: Input, on: str, record: Collection[str]) -> None:
    allowed = STATES.get((program.family, on), ())
    if not set(record) <= set(allowed):
        known = ", ".join(allowed) or "none"
        raise NeuvaError(f"{','.join(record)} of a {program.target} program on {on} cannot be kept, allowed {known}")
    size = 8 * len(given.x) * sum(layer.neurons for layer in program.layers)  # both are kept while it runs
    if record and size > MOST_BYTES:
        raise NeuvaError(
            f"{','.join(record)} of {len(given.x)} steps take {size / 2**30:.1f} GiB, allowed "
            f"{MOST_BYTES / 2**30:g}: run a shorter recording"
        )


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
    """What the network saw at a few moments, spread over the run; nothing where it was given no events."""
    if given.events is None:
        return []
    edges = np.linspace(0, trace.duration_us, SNAPSHOTS + 1).astype(np.int64)
    middles = (edges[:-1] + edges[1:]) // 2
    half = min(20_000, int(trace.duration_us) // (2 * SNAPSHOTS) + 1)
    return [
        (middle / 1e6, event_picture(given.events, given.start_us + middle - half, given.start_us + middle + half))
        for middle in middles.tolist()
    ]
