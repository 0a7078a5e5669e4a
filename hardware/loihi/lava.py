"""Runs programs on Lava, in Lava's own interpreter, and leaves nothing behind."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hardware.loihi.emulator import check_input, check_layer
from hardware.program import ChipProgram, Layer, LoihiNeuron
from hardware.trace import Spikes, Trace, apply_readout
from neuva import NeuvaError

logger = logging.getLogger(__name__)
RUNNER = Path(__file__).with_name("lava_runner.py")
ROOT = RUNNER.parents[2]
GRACE_S = 5.0
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - only looked at, for what our own processes have mapped


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
    timeout_s: float = 600.0,
    record_state: bool = False,
    hardware: bool = False,
) -> Trace:
    """One clip [T, C, H, W] on Lava; see `run_many`."""
    return run_many([(program, input_spikes)], timeout_s=timeout_s, record_state=record_state, hardware=hardware)[0]


def run_many(
    clips: Sequence[tuple[ChipProgram, np.ndarray]],
    *,
    timeout_s: float = 600.0,
    record_state: bool = False,
    hardware: bool = False,
) -> list[Trace]:
    """Clips on Lava, one process for all (starting Lava costs seconds), each from zero state.

    The traces are those of the emulator, without counts: Lava counts nothing.

    Args:
        clips: programs, each with input spikes, integers [T, C, H, W].
        timeout_s: for all clips together, in seconds.
        record_state: keep u and v (CPU models alone).
        hardware: on a Loihi 2 board instead of Lava's CPU models.

    Raises:
        NeuvaError: if there is no interpreter with Lava, an input does not suit its program, Lava fails, or the
            time is up. All of Lava's processes and shared memory are gone by then.
    """
    if not clips:
        return []
    python = interpreter()
    arrays = _runner_input(clips, record_state)
    with tempfile.TemporaryDirectory(prefix="neuva-lava-") as folder:
        source, result = Path(folder, "input.npz"), Path(folder, "output.npz")
        np.savez(source, **arrays)
        command = [str(python), str(RUNNER), str(source), str(result), *(["--hardware"] if hardware else [])]
        _run_to_end(command, timeout_s)
        with np.load(result, allow_pickle=False) as data:
            backend = "loihi2" if hardware else "lava"
            return [_trace(program, spikes, number, data, backend) for number, (program, spikes) in enumerate(clips)]


def _runner_input(clips: Sequence[tuple[ChipProgram, np.ndarray]], record_state: bool) -> dict[str, Any]:
    """The arrays of `lava_runner.py`'s input file; a program used by several clips is written once."""
    arrays: dict[str, Any] = {}
    programs: list[ChipProgram] = []
    runs = []
    for number, (program, spikes) in enumerate(clips):
        known = [index for index, other in enumerate(programs) if other is program]
        if not known:
            programs.append(program)
        arrays[f"r{number}.spikes"] = check_input(spikes, program)
        runs.append({"program": known[0] if known else len(programs) - 1, "record_state": record_state})
    for index, program in enumerate(programs):
        for k, layer in enumerate(program.layers):
            neuron = check_layer(layer, program.target)
            arrays[f"p{index}.l{k}.weight"] = layer.connection.weight
            arrays[f"p{index}.l{k}.bias_mant"] = _mantissa(layer, neuron)
    spec = {"programs": [_program_spec(program) for program in programs], "runs": runs}
    return arrays | {"spec": np.array(json.dumps(spec))}


def _program_spec(program: ChipProgram) -> dict[str, Any]:
    shape, layers = program.input.shape, []
    for layer in program.layers:
        link, neuron = layer.connection, check_layer(layer, program.target)
        geometry = {
            key: getattr(link, key) for key in ("kind", "stride", "padding", "dilation", "groups", "weight_exp")
        }
        constants = {key: int(getattr(neuron, key)) for key in ("du", "dv", "vth", "bias_exp")}
        layers.append({"in_shape": shape, "out_shape": layer.out_shape} | geometry | constants)
        shape = layer.sent_shape
    return {"graded": program.input.kind == "counts", "layers": layers}


def _mantissa(layer: Layer, neuron: LoihiNeuron) -> np.ndarray:
    mantissa = np.asarray(neuron.bias) >> neuron.bias_exp
    if np.any(mantissa << neuron.bias_exp != neuron.bias):
        raise NeuvaError(
            f"layer {layer.name}: a bias is no multiple of 2^{neuron.bias_exp}: round it to the mantissa's grid"
        )
    return mantissa


def _trace(program: ChipProgram, spikes: np.ndarray, number: int, data: Any, backend: str) -> Trace:
    dt_us, steps = program.dt_us, len(spikes)
    fired = {"input": Spikes.from_dense(spikes, dt_us)}
    states: dict[str, dict[str, np.ndarray]] = {"u": {}, "v": {}}
    for k, layer in enumerate(program.layers):
        key = f"r{number}.l{k}"
        step, neuron = data[f"{key}.step"], data[f"{key}.neuron"]
        fired[layer.name] = Spikes(layer.out_shape, step * dt_us, neuron, np.ones(len(neuron), np.int32))
        for name, values in states.items():
            if f"{key}.{name}" in data:
                values[layer.name] = data[f"{key}.{name}"]
    last = program.layers[-1]
    sent = fired[last.name].dense(steps, dt_us).reshape(steps, last.neurons)
    times, va = apply_readout(program.readout, sent, dt_us)
    return Trace(
        target=program.target,
        backend=backend,
        dt_us=dt_us,
        duration_us=steps * dt_us,
        times=times,
        va=va,
        spikes=fired,
        counts=(),
        latency_steps=len(program.layers),
        u=states["u"],
        v=states["v"],
        notes={"versions": json.loads(str(data["versions"]))},
    )


def _run_to_end(command: list[str], timeout_s: float) -> None:
    """Run the command in a process group of its own; whatever happens, the group is gone afterwards."""
    quiet = {"PYTHONWARNINGS": "ignore"}  # else the resource tracker has the last word after a failure
    environment = os.environ | quiet | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    with tempfile.TemporaryFile("w+") as log, _own_group(command, log, environment) as process:
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise NeuvaError(
                f"Lava did not finish within {timeout_s:g} s and was stopped: give it more time or a shorter clip"
            ) from error
        if code:
            log.seek(0)
            told = log.read().strip()
            last = told.splitlines()[-1] if told else "it said nothing"
            logger.info("Lava's output:\n%s", told)
            raise NeuvaError(f"Lava failed with exit status {code} ({last}): see all it said with -v")


@contextmanager
def _own_group(command: list[str], log: Any, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen) -> None:
    """Ask the group to end, then force it, then free the shared memory it still had mapped.

    SIGTERM leaves Python's resource tracker alive, which unlinks the shared memory of those that died.
    """
    group = process.pid
    shared = {path for member in _members(group) for path in _shared_memory(member)}
    for sign, patience in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, GRACE_S)):
        if not _members(group):
            break
        os.killpg(group, sign)
        until = time.monotonic() + patience
        while time.monotonic() < until and (process.poll() is None or _members(group)):
            time.sleep(0.02)
    process.wait()
    for path in shared:
        path.unlink(missing_ok=True)


def _members(group: int) -> list[int]:
    """Living processes of a group, as /proc has them (none where there is no /proc)."""
    living = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member_group = entry.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended while we looked
            continue
        if int(member_group) == group and state != "Z":
            living.append(int(entry.parent.name))
    return living


def _shared_memory(pid: int) -> set[Path]:
    """Files in /dev/shm that a process has mapped."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return set()
    mapped = {line.split(maxsplit=5)[5] for line in lines if f" {SHARED_MEMORY}/" in line}
    return {Path(name) for name in mapped if not name.endswith("(deleted)")}
