"""Runs programs on Lava, in Lava's own interpreter, and leaves nothing behind."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hardware.loihi import group
from hardware.loihi.exchange import RUNNER, Clip, read_output, write_input
from hardware.program import ChipProgram, Layer
from hardware.trace import Trace
from neuva import NeuvaError

logger = logging.getLogger(__name__)
ROOT = RUNNER.parents[2]
Progress = Callable[[int, int], None]


def interpreter() -> Path:
    """Lava's Python: NEUVA_LAVA_PYTHON, else .venv-lava at the root of the repository.

    Raises:
        NeuvaError: if there is none.
    """
    named = os.environ.get("NEUVA_LAVA_PYTHON")
    python = Path(named) if named else ROOT / ".venv-lava" / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise NeuvaError(
            f"{python}: no interpreter with Lava there: run `make .venv-lava/ready` or set NEUVA_LAVA_PYTHON"
        )
    return python


def run(
    program: ChipProgram,
    input_spikes: np.ndarray,
    *,
    timeout_s: float | None = None,
    record_state: bool = False,
    hardware: bool = False,
) -> Trace:
    """One clip [T, C, H, W] on Lava; see `run_many`."""
    return run_many([(program, input_spikes)], timeout_s=timeout_s, record_state=record_state, hardware=hardware)[0]


def run_many(
    clips: Sequence[Clip],
    *,
    timeout_s: float | None = None,
    record_state: bool = False,
    hardware: bool = False,
    progress: Progress = lambda *_: None,
) -> list[Trace]:
    """Clips on Lava, one process for all (starting Lava costs seconds), each from zero state.

    The traces are those of the emulator, without counts: Lava counts nothing.

    Args:
        clips: programs, each with input spikes, integers [T, C, H, W].
        timeout_s: for all clips together, in seconds; by default far more than they should take.
        record_state: keep u and v (CPU models alone).
        hardware: on a Loihi 2 board instead of Lava's CPU models.
        progress: called with (clips done, clips in all).

    Raises:
        NeuvaError: if there is no interpreter with Lava, an input does not suit its program, Lava fails, or the
            time is up. All of Lava's processes and shared memory are gone by then.
    """
    if not clips:
        return []
    python = interpreter()
    with tempfile.TemporaryDirectory(prefix="neuva-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        source, result = folder / "input.npz", folder / "output.npz"
        write_input(source, clips, record_state=record_state)
        command = [str(python), str(RUNNER), str(source), str(result), *(["--hardware"] if hardware else [])]
        limit = patience_s(clips) if timeout_s is None else timeout_s
        run_to_end(command, folder, limit, lambda done: progress(done, len(clips)))
        progress(len(clips), len(clips))  # the last one may end between two looks
        return read_output(result, clips, "loihi2" if hardware else "lava")


def patience_s(clips: Sequence[Clip]) -> float:
    """Seconds after which a run is taken to hang: ten times what it takes on a slow core, and more for small ones.

    Measured on one core of two shared ones: 2 to 4 s to start; then each step's synapses, silent or not, at
    5e7 to 2e9 a second, and a few ms a layer for Lava's messages.
    """
    per_step = {id(program): sum(_work_s(layer) for layer in program.layers) for program, _ in clips}
    return 120 + sum(20 + 10 * len(spikes) * per_step[id(program)] for program, spikes in clips)


def _work_s(layer: Layer) -> float:
    synapses = layer.neurons * int(np.prod(layer.connection.weight.shape[1:]))
    return 0.005 + synapses / 5e7


def run_to_end(
    command: list[str], folder: Path, timeout_s: float, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Run the runner; whatever happens, none of its processes is left afterwards.

    Args:
        command: the runner's.
        folder: for temporary files.
        timeout_s: how long it may take.
        progress: called with the number of clips done.

    Raises:
        NeuvaError: if it fails or the time is up.
    """
    quiet = {"PYTHONWARNINGS": "ignore"}  # else the resource tracker has the last word after a failure
    environment = os.environ | quiet | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    until = time.monotonic() + timeout_s
    with group.started(command, folder, environment) as process:
        while (code := _wait(process, until)) is None:
            if time.monotonic() > until:
                raise NeuvaError(
                    f"Lava did not finish within {timeout_s:g} s and was stopped: give it fewer or shorter clips"
                )
            progress(len(re.findall(r"^clip \d+ of \d+ done$", _told(folder), re.MULTILINE)))
    if code:
        told = _told(folder).strip()
        last = told.splitlines()[-1] if told else "it said nothing"
        logger.info("Lava's output:\n%s", told)
        how = signal.Signals(code - 128).name if code > 128 else f"exit status {code}"
        raise NeuvaError(f"Lava ended with {how} ({last}): all it said is shown by `neuva -v` and the same command")


def _wait(process: subprocess.Popen, until: float) -> int | None:
    """The exit status, or None if the process still runs after a moment."""
    try:
        return process.wait(max(0.0, min(0.5, until - time.monotonic())))
    except subprocess.TimeoutExpired:
        return None


def _told(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")
