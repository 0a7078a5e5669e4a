"""The files of `lava_runner.py`: a program and its clips written for it, what it gave read back as traces."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hardware.loihi.emulator import check_input, check_layer
from hardware.program import ChipProgram, Layer, LoihiNeuron
from hardware.trace import Spikes, Trace, apply_readout
from neuva import NeuvaError, atomic_path, make_folder

RUNNER = Path(__file__).with_name("lava_runner.py")
Clip = tuple[ChipProgram, np.ndarray]
"""A program and the steps it is given, integers [T, C, H, W]."""


def write_input(path: Path, clips: Sequence[Clip], *, record_state: bool = False) -> None:
    """Write the runner's input file.

    Raises:
        NeuvaError: if an input does not suit its program, or the program is none of Loihi's.
    """
    arrays = _arrays(clips, record_state)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_output(path: Path, clips: Sequence[Clip], backend: str) -> list[Trace]:
    """The traces of clips from the runner's output file; `backend`: "lava" or "loihi2".

    Raises:
        NeuvaError: if the file is damaged, answers other clips, or comes from another backend.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            told = json.loads(str(data["about"]))
            if told["answers"] != _digest(clips):
                raise NeuvaError(f"{path}: answers another program or recording: delete it, or name another folder")
            if told["backend"] != backend:
                raise NeuvaError(
                    f"{path}: was made on {told['backend']}, not on {backend}: "
                    "run lava_runner.py with --hardware on a board, without it on Lava"
                )
            return [_trace(program, spikes, k, data, told) for k, (program, spikes) in enumerate(clips)]
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise NeuvaError(f"{path}: not an output of lava_runner.py ({error}): run it again") from error


def by_hand(program: ChipProgram, spikes: np.ndarray, folder: Path, backend: str) -> Trace | None:
    """A clip run on another machine: first writes what to copy there, then reads what came back.

    Args:
        spikes: integers [T, C, H, W].
        folder: gets lava_runner.py and input.npz; the runner's output.npz is to be put beside them.
        backend: "loihi2" or "lava".

    Returns:
        The trace, or None while there is no output.npz.

    Raises:
        NeuvaError: see `write_input` and `read_output`.
    """
    result = folder / "output.npz"
    if result.exists():
        return read_output(result, [(program, spikes)], backend)[0]
    make_folder(folder)
    write_input(folder / "input.npz", [(program, spikes)])
    with atomic_path(folder / RUNNER.name) as temporary:
        shutil.copyfile(RUNNER, temporary)
    return None


def _arrays(clips: Sequence[Clip], record_state: bool) -> dict[str, Any]:
    """The arrays of the input file; a program used by several clips is written once."""
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
    spec = {"id": _digest(clips), "programs": [_program_spec(program) for program in programs], "runs": runs}
    return arrays | {"spec": np.array(json.dumps(spec))}


def _digest(clips: Sequence[Clip]) -> str:
    """Hash of the programs and what they are given, so that an output is not taken for that of another input."""
    digest = hashlib.sha256()
    for program, spikes in clips:
        digest.update(program.sha256().encode() + repr(spikes.shape).encode())
        digest.update(np.ascontiguousarray(spikes, np.int32).tobytes())
    return digest.hexdigest()


def _program_spec(program: ChipProgram) -> dict[str, Any]:
    before, shape, layers = "input", program.input.shape, []
    for layer in program.layers:
        link, neuron = layer.connection, check_layer(layer, program.target)
        if layer.sources not in ((), (before,)):
            raise NeuvaError(
                f"layer {layer.name} hears {', '.join(layer.sources)}, allowed {before}, the layer before: "
                "networks without branches are run on Lava"
            )
        geometry = {
            key: getattr(link, key) for key in ("kind", "stride", "padding", "dilation", "groups", "weight_exp")
        }
        constants = {key: int(getattr(neuron, key)) for key in ("du", "dv", "vth", "bias_exp")}
        layers.append({"in_shape": shape, "out_shape": layer.out_shape} | geometry | constants)
        before, shape = layer.name, layer.sent_shape
    return {"graded": program.input.kind == "counts", "reset_every": program.reset_every, "layers": layers}


def _mantissa(layer: Layer, neuron: LoihiNeuron) -> np.ndarray:
    mantissa = np.asarray(neuron.bias) >> neuron.bias_exp
    if np.any(mantissa << neuron.bias_exp != neuron.bias):
        raise NeuvaError(
            f"layer {layer.name}: a bias is no multiple of 2^{neuron.bias_exp}: round it to the mantissa's grid"
        )
    return mantissa


def _trace(program: ChipProgram, spikes: np.ndarray, number: int, data: Any, told: dict[str, Any]) -> Trace:
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
        backend=told["backend"],
        dt_us=dt_us,
        duration_us=steps * dt_us,
        times=times,
        va=va,
        spikes=fired,
        counts=(),
        latency_steps=len(program.layers),
        u=states["u"],
        v=states["v"],
        notes={"versions": told["versions"]},
    )
