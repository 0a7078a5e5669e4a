"""Run integer programs on Lava: one file that needs only numpy and lava-nc 0.10.

    python lava_runner.py input.npz output.npz [--hardware]

Copy it to a machine with a Loihi board (docs/loihi.md), or let `hardware.loihi.lava` start it in Lava's own
interpreter.

input.npz (no pickles):
    spec: JSON text {"id": text, "programs": [{"graded": bool, "reset_every": steps, "layers": [layer, ...]}, ...],
                     "runs": [{"program": index, "record_state": bool}, ...]} with
        layer = {"kind": "conv" | "dense", "in_shape": [C, H, W], "out_shape": [C, H, W], "stride": [y, x],
                 "padding": [y, x], "dilation": [y, x], "groups": g, "weight_exp": e,
                 "du": , "dv": , "vth": , "bias_exp": }
    p<program>.l<layer>.weight: conv [C_out, C_in / groups, K_y, K_x] in torch's orientation, dense [N_out, N_in];
    p<program>.l<layer>.bias_mant: [C_out];   r<run>.spikes: [T, C, H, W].
output.npz, for each run and layer, with the pipeline's delay taken out (Lava's step k + 1 of the first layer,
k + 2 of the second, ... answer step k of the input):
    r<run>.l<layer>.step, .neuron: the spikes, neurons flat in (C, H, W) order, sorted by step and neuron;
    r<run>.l<layer>.u, .v: int32 [T, C, H, W] where record_state;
    about: JSON text {"answers": the input's id, "backend": "lava" | "loihi2", "versions": {...}}.

Inside Lava a layer is (X, Y, C) and its Conv is a true convolution, so kernels are flipped here in both axes.
Every run builds its network anew: the state starts from zero exactly. With reset_every = n > 0, u and v are zero again
before the steps n, 2 n, ... of the clip. On a board all recorded data is spikes.
"""

# ruff: noqa: E402, UP036 - Lava is imported after Python is made ready for it, and Python 3.10 is what Lava asks for
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# A `lava.py` beside this file would hide the package of that name.
sys.path = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]


Arrays = list[np.ndarray]


@contextlib.contextmanager
def _hashable_dataclasses() -> Iterator[None]:
    """Python 3.11 refuses unhashable default fields, which Lava's compiler has: make its dataclasses hashable."""
    plain = dataclasses.dataclass
    if sys.version_info >= (3, 11):
        dataclasses.dataclass = functools.partial(plain, unsafe_hash=True)
    try:
        yield
    finally:
        dataclasses.dataclass = plain


with _hashable_dataclasses():
    import lava.magma.compiler.var_model  # noqa: F401 - imported first, where the change is needed

import lava.magma.runtime.runtime as lava_runtime
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.lif.process import LIF, LIFReset


@implements(proc=LIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingLif(PyLifModelBitAcc):
    """Lava's own bit-accurate LIF, which also writes what it did in each step to files, and is reset every so often.

    Reading a Var through Lava's runtime moves one number at a time; a file has no such limit. Lava's own LIFReset
    would also zero the state before the clip's first step, which a bias has been driving until then.
    """

    def __init__(self, proc_params: dict[str, Any]) -> None:
        super().__init__(proc_params)
        self._record_state = proc_params["record_state"]
        self._folder = Path(proc_params["folder"])
        self._reset_every, self._delay = proc_params["reset_every"], proc_params["delay"]

    def run_spk(self) -> None:
        """One step of Lava's model, then a line in the log."""
        step = self.time_step - 1 - self._delay  # Lava counts from 1
        if self._reset_every and step > 0 and step % self._reset_every == 0:
            self.u[:], self.v[:] = 0, 0
        super().run_spk()
        self._append("spikes", np.packbits(self.s_out_buff.transpose(2, 1, 0)))
        if self._record_state:
            self._append("u", self.u.transpose(2, 1, 0).astype(np.int32))
            self._append("v", self.v.transpose(2, 1, 0).astype(np.int32))

    def _append(self, name: str, values: np.ndarray) -> None:
        with open(self._folder / name, "ab") as file:
            file.write(values.tobytes())


def _end_group_on_failure(target: Callable[..., None]) -> Callable[..., None]:
    """Lava hides the traceback of a failed process and waits for it for ever: show it and end all of them."""

    @functools.wraps(target)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            target(*args, **kwargs)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os.killpg(os.getpgrp(), signal.SIGTERM)

    return guarded


lava_runtime.target_fn = _end_group_on_failure(lava_runtime.target_fn)


def _end_group_on_kill(*_: Any) -> None:
    """A Lava process that is killed says nothing, and the others wait for it for ever: end all of them."""
    with contextlib.suppress(ChildProcessError):
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended and ended.si_code in (os.CLD_KILLED, os.CLD_DUMPED) and ended.si_status != signal.SIGTERM:
            how = signal.Signals(ended.si_status).name
            sys.stderr.write(f"one of Lava's processes was ended by {how}\n")
            sys.stderr.flush()
            os.killpg(os.getpgrp(), signal.SIGTERM)


def xyc(shape: Sequence[int]) -> tuple[int, ...]:
    """(C, H, W) to Lava's (X, Y, C)."""
    return tuple(shape[::-1])


def lava_weight(layer: dict[str, Any], weight: np.ndarray) -> np.ndarray:
    """A weight in Lava's layout: conv [C_out, K_x, K_y, C_in / groups], flipped; dense over (X, Y, C) neurons."""
    weight = np.asarray(weight, np.int32)
    if layer["kind"] == "conv":
        return np.ascontiguousarray(weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1))
    both = weight.reshape(*layer["out_shape"], *layer["in_shape"])
    return np.ascontiguousarray(both.transpose(2, 1, 0, 5, 4, 3).reshape(weight.shape))


def connect(layer: dict[str, Any], weight: np.ndarray, graded: bool, before: Any, after: Any) -> None:
    """Lava's synapses of one layer between the ports `before` and `after`."""
    message_bits = 24 if graded else 0
    weight = lava_weight(layer, weight)
    if layer["kind"] == "dense":
        synapses = Dense(weights=weight, weight_exp=layer["weight_exp"], num_message_bits=message_bits)
        before.flatten().connect(synapses.s_in)
        synapses.a_out.reshape(xyc(layer["out_shape"])).connect(after)
        return
    synapses = Conv(
        weight=weight,
        weight_exp=layer["weight_exp"],
        input_shape=xyc(layer["in_shape"]),
        stride=tuple(layer["stride"][::-1]),
        padding=tuple(layer["padding"][::-1]),
        dilation=tuple(layer["dilation"][::-1]),
        groups=layer["groups"],
        num_message_bits=message_bits,
    )
    before.reshape(xyc(layer["in_shape"])).connect(synapses.s_in)
    synapses.a_out.connect(after)


def constants(layer: dict[str, Any], bias_mant: np.ndarray) -> dict[str, Any]:
    """What Lava's LIF of one layer is made with."""
    shape = xyc(layer["out_shape"])
    bias = np.broadcast_to(np.asarray(bias_mant, np.int32), shape).copy()
    return {"shape": shape, "bias_mant": bias} | {key: layer[key] for key in ("du", "dv", "vth", "bias_exp")}


def simulate(
    program: dict[str, Any], weights: Arrays, biases: Arrays, spikes: np.ndarray, record_state: bool
) -> list[dict[str, np.ndarray]]:
    """One clip through Lava's CPU models; per layer a dict of step, neuron and, on request, u and v."""
    layers, steps = program["layers"], len(spikes)
    total = steps + len(layers)
    with tempfile.TemporaryDirectory() as scratch:
        populations = []
        source = _source(spikes, total)
        port = source.s_out
        for index, layer in enumerate(layers):
            folder = Path(scratch, str(index))
            folder.mkdir()
            population = LIF(
                **constants(layer, biases[index]),
                folder=str(folder),
                record_state=record_state,
                reset_every=program["reset_every"],
                delay=index + 1,
            )
            connect(layer, weights[index], program["graded"] and index == 0, port, population.a_in)
            port = population.s_out
            populations.append(population)
        _run(populations[-1], total, Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map={LIF: RecordingLif}))
        return [_read(Path(scratch, str(k)), layer, k + 1, steps, record_state) for k, layer in enumerate(layers)]


def run_on_board(
    program: dict[str, Any], weights: Arrays, biases: Arrays, spikes: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """One clip on a Loihi 2 board; spikes alone. Needs the vendor's extension of Lava.

    Follows the vendor's public tutorials for the adapters between host and board; no board was at hand to try it.
    """
    try:
        from lava.proc.embedded_io.spike import NxToPyAdapter, PyToNxAdapter
    except ImportError as error:
        raise SystemExit(
            f"--hardware needs Intel's lava-loihi extension, which is missing here ({error}): "
            "run lava_runner.py on a machine that has it and a Loihi 2 board"
        ) from error
    _reach_board()
    layers, steps, every = program["layers"], len(spikes), program["reset_every"]
    message = {"num_message_bits": 24} if program["graded"] else {}
    total = steps + len(layers) + 2  # the adapters hold a spike one step each way
    source, inward = _source(spikes, total), PyToNxAdapter(shape=xyc(spikes.shape[1:]), **message)
    source.s_out.connect(inward.inp)
    port, sinks = inward.out, []
    for index, layer in enumerate(layers):
        made = constants(layer, biases[index])
        first = index + 3  # Lava's number of the clip's first step in this layer
        population = LIFReset(**made, reset_interval=every, reset_offset=first % every) if every else LIF(**made)
        connect(layer, weights[index], program["graded"] and index == 0, port, population.a_in)
        port = population.s_out
        outward, sink = NxToPyAdapter(shape=xyc(layer["out_shape"])), Sink(shape=xyc(layer["out_shape"]), buffer=total)
        port.connect(outward.inp)
        outward.out.connect(sink.a_in)
        sinks.append(sink)
    recorded = _run(population, total, Loihi2HwCfg(), sinks)
    return [
        _sparse(data.transpose(3, 2, 1, 0)[k + 3 : k + 3 + steps].reshape(steps, -1)) for k, data in enumerate(recorded)
    ]


def _reach_board() -> None:
    """Take the board that NXSDKHOST names, else ask SLURM for one of LOIHI_GEN, BOARD or PARTITION."""
    from lava.utils import loihi

    generation = loihi.ChipGeneration(os.environ.get("LOIHI_GEN", "N3B3"))
    if host := os.environ.get("NXSDKHOST"):
        binary = os.environ.get("HOST_BINARY", "nxcore/bin/nx_driver_server")
        loihi.use_ethernet_host(host, binary, loihi_gen=generation)
    else:
        loihi.use_slurm_host(os.environ.get("PARTITION"), os.environ.get("BOARD"), loihi_gen=generation)


def _source(spikes: np.ndarray, total: int) -> Source:
    """A source of the clip's spikes, silent after its end."""
    data = np.zeros((*xyc(spikes.shape[1:]), total), np.int32)
    data[..., : len(spikes)] = spikes.transpose(3, 2, 1, 0)
    return Source(data=data)


def _run(process: Any, steps: int, config: Any, sinks: Sequence[Sink] = ()) -> list[np.ndarray]:
    """Run the network that `process` belongs to; what its sinks hold. Always stopped."""
    try:
        process.run(condition=RunSteps(num_steps=steps), run_cfg=config)
        return [sink.data.get().astype(np.int32) for sink in sinks]
    finally:
        process.stop()


def _read(folder: Path, layer: dict[str, Any], delay: int, steps: int, record_state: bool) -> dict[str, np.ndarray]:
    """The log of one layer from its step `delay` on."""
    shape = tuple(layer["out_shape"])
    neurons_in_layer = int(np.prod(shape))
    packed = np.fromfile(folder / "spikes", np.uint8).reshape(-1, -(-neurons_in_layer // 8))
    bits = np.unpackbits(packed[delay : delay + steps], axis=1, count=neurons_in_layer)
    result = _sparse(bits)
    if record_state:
        for name in ("u", "v"):
            values = np.fromfile(folder / name, np.int32).reshape(-1, *shape)
            result[name] = values[delay : delay + steps]
    return result


def _sparse(dense: np.ndarray) -> dict[str, np.ndarray]:
    step, neuron = np.nonzero(dense)
    return {"step": step.astype(np.int64), "neuron": neuron.astype(np.int32)}


def main() -> None:
    """Read the input file, run every clip, write the output file under a temporary name and rename it."""
    parser = argparse.ArgumentParser(description="Run integer programs on Lava.")
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--hardware", action="store_true", help="on a Loihi 2 board instead of the CPU models")
    arguments = parser.parse_args()
    signal.signal(signal.SIGCHLD, _end_group_on_kill)
    with np.load(arguments.input, allow_pickle=False) as data:
        spec = json.loads(str(data["spec"]))
        about = {
            "answers": spec["id"],
            "backend": "loihi2" if arguments.hardware else "lava",
            "versions": {"lava-nc": importlib.metadata.version("lava-nc"), "lava's Python": sys.version.split()[0]},
        }
        results: dict[str, Any] = {"about": json.dumps(about)}
        for number, run in enumerate(spec["runs"]):
            for k, layer in enumerate(_run_clip(spec, number, run, data, arguments.hardware)):
                results.update({f"r{number}.l{k}.{name}": values for name, values in layer.items()})
            sys.stderr.write(f"clip {number + 1} of {len(spec['runs'])} done\n")
            sys.stderr.flush()
    temporary = arguments.output.with_name(f".{arguments.output.name}.{os.getpid()}.npz")
    try:
        np.savez_compressed(temporary, **results)
        temporary.replace(arguments.output)
    finally:
        temporary.unlink(missing_ok=True)


def _run_clip(
    spec: dict[str, Any], number: int, run: dict[str, Any], data: Any, hardware: bool
) -> list[dict[str, np.ndarray]]:
    """One of the input file's runs."""
    index = run["program"]
    program = spec["programs"][index]
    weights = [data[f"p{index}.l{k}.weight"] for k in range(len(program["layers"]))]
    biases = [data[f"p{index}.l{k}.bias_mant"] for k in range(len(program["layers"]))]
    spikes = data[f"r{number}.spikes"]
    if hardware:
        return run_on_board(program, weights, biases, spikes)
    return simulate(program, weights, biases, spikes, run["record_state"])


if __name__ == "__main__":
    main()
