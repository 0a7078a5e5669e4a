"""Which program, input and clip a trace is of, so that a recording from elsewhere is not taken for another's."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from hardware.program import ChipProgram
from hardware.trace import Trace
from neuva import NeuvaError


def input_sha256(x: np.ndarray, events: np.ndarray | None, dt_us: int) -> str:
    """Hash of a clip's input: its length in steps, its shape and its events, in whatever order those of one time come.

    Args:
        x: counts [T, C, H, W] per step of dt.
        events: the same clip's events (t since its start, x, y, p); None where there are only steps: each count is then
            so many events at the start of its step.
    """
    if events is None:
        step, channel, y, column = np.repeat(np.argwhere(x), x[x > 0], axis=0).T
        rows = [step * dt_us, channel, y, column]
    else:
        rows = [events[key] for key in ("t", "p", "y", "x")]
    table = np.stack([row.astype(np.int64) for row in rows], axis=1)
    digest = hashlib.sha256(repr((dt_us, tuple(map(int, x.shape)))).encode())
    digest.update(table[np.lexsort(table.T[::-1])].tobytes())
    return digest.hexdigest()


def stamped(trace: Trace, program: ChipProgram, input_hash: str, clip: str) -> Trace:
    """The trace with notes["origin"]: sha256 of the program and of the input, and the clip's name."""
    origin = {"program": program.sha256(), "input": input_hash, "clip": clip}
    return replace(trace, notes=trace.notes | {"origin": origin})


def board_input(trace: Trace, program: ChipProgram, name: str) -> tuple[str, str]:
    """Hash and clip name of the input that a board's trace is of.

    Args:
        name: of the trace's file, for errors.

    Raises:
        NeuvaError: if the trace is of another program, or was not recorded on a board.
    """
    origin = trace.notes.get("origin", {})
    if not {"program", "input", "clip"} <= set(origin):
        raise NeuvaError(f"{name}: does not say what it is a trace of: record it again with `neuva run`")
    if trace.backend != program.target:
        raise NeuvaError(
            f"{name}: is of {trace.backend}, not of a {program.target} board: record it with `--on {program.target}`"
        )
    if origin["program"] != program.sha256():
        raise NeuvaError(
            f"{name}: is of another program (sha256 {origin['program'][:12]}, this one {program.sha256()[:12]}): "
            "give the program that was run"
        )
    return origin["input"], origin["clip"]
