"""Reads lava-dl's `.net` files: networks trained with slayer, in integers already, so nothing is calibrated.

The layout is what slayer's blocks write (`export_hdf5` of lava/lib/dl/slayer/block/base.py) and netx reads
(lava/lib/dl/netx/hdf5.py): groups `layer/0`, `layer/1`, ... in order, each with `type`, `shape` and, by type,

- input: shape (C, H, W) or (N,). With a `neuron` it is a population that is given `weight` x + `bias` (64 and 0
  unless written); without one it only says the shape.
- conv: weight [C_out, C_in / groups, K_y, K_x] as torch has it, not flipped (netx flips it for Lava, whose Conv is a
  true convolution); stride, padding, dilation as (y, x); groups.
- pool: a convolution of each channel by itself with one kernel [1, 1, K_y, K_x], and neurons of its own.
- dense: weight [N_out, N_in]; behind a map it stands behind a `flatten`, whose order is (C, H, W).
- average: the mean of the last layer's spikes over equal groups, on the host: a read-out.

Neurons (`neuron/type` CUBA or LOIHI): du = iDecay - 1, dv = vDecay, vth = vThMant; `bias` is the mantissa of a bias
with exponent 6 that is added to v.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from conversion.lowering import versions
from conversion.net_file import Part, parts
from hardware.loihi.weights import on_grid
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout, Shape
from hardware.structure import check_layer
from neuva import NeuvaError

BIAS_EXP = 6
INPUT_WEIGHT = 64
"""netx's default: 1.0 in slayer's scale."""
WEIGHTS, BIASES = (-256, 255), (-4096, 4095)


def load_net(
    path: str | Path, target: str, dt_us: int, *, input_shape: Shape | None = None, reset_every: int = 0
) -> ChipProgram:
    """The Loihi program of a `.net` file, with the file's own integers; not yet placed on cores.

    Args:
        path: the file.
        target: a chip of the Loihi family.
        dt_us: the time step in microseconds, which the file does not hold.
        input_shape: (C, H, W) of the input, where the file does not tell it (no input layer, a strided convolution
            first).
        reset_every: netx's `reset_interval`, which the file does not hold either.

    Raises:
        NeuvaError: names file and layer: it cannot be read, holds what the program cannot say exactly, or its shapes
            do not chain.
    """
    path = Path(path)
    if not path.is_file():
        raise NeuvaError(f"{path}: {'is a folder, needed a file' if path.is_dir() else 'no such file'}")
    if not target.startswith("loihi"):
        raise NeuvaError(f"{path}: holds Loihi's integers, which {target} does not have: choose loihi1 or loihi2")
    try:
        with h5py.File(path, "r") as file:
            chain = _Chain(input_shape)
            for part in parts(file):
                chain.add(part)
            return chain.program(target, dt_us, reset_every, path)
    except NeuvaError as error:
        raise NeuvaError(f"{path}: {error}") from error
    except Exception as error:  # a damaged file makes h5py raise almost anything
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NeuvaError(f"{path}: not a readable lava-dl network ({line}): export it again") from error


class _Chain:
    """The program as it grows, layer by layer; `sent` is what the next one hears, None while it is unknown."""

    def __init__(self, input_shape: Shape | None) -> None:
        self.sent = self.input_shape = input_shape
        self.encoding: Literal["binary", "counts"] = "binary"
        self.layers: list[Layer] = []
        self.readout: Readout | None = None
        self._flat = False

    def add(self, part: Part) -> None:
        """Take the next layer of the file."""
        known = {
            "input": self._input, "conv": self._conv, "pool": self._pool,
            "flatten": self._flatten, "dense": self._dense, "average": self._average,
        }  # fmt: skip
        if part.kind not in known:
            raise part.error(f'type "{part.kind}" is not converted, known are {", ".join(known)}: replace it')
        if self.readout is not None:
            raise part.error("stands behind an average, which the host computes: leave it out")
        known[part.kind](part)

    def program(self, target: str, dt_us: int, reset_every: int, path: Path) -> ChipProgram:
        """What it has become."""
        if self._flat or self.input_shape is None:
            raise NeuvaError("ends before a layer with neurons: export the whole network")
        return ChipProgram(
            target=target,
            dt_us=dt_us,
            input=InputEncoding(self.input_shape, self.encoding),
            layers=tuple(self.layers),
            readout=self.readout,
            provenance={
                "network": path.name,
                "network_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "versions": versions("neuva", "numpy", "h5py"),
            },
            reset_every=reset_every,
        )

    def _input(self, part: Part) -> None:
        if self.layers or self._flat:
            raise part.error("stands behind other layers, allowed first: export it again")
        shape = part.shape()
        self._hear(part, shape)
        if not part.has("neuron"):
            return
        # slayer sends weight x + bias through u, the program's bias goes into v: the same where u has no memory
        neuron = _neuron(part, shape[0])
        if neuron.bias.any() and neuron.du != 4095:
            raise part.error(f"an input bias with iDecay {neuron.du + 1}, allowed 4096: train the input without bias")
        weight = part.one("weight", *WEIGHTS, default=INPUT_WEIGHT)
        kernel = np.full((shape[0], 1, 1, 1), weight, np.int32)
        self.encoding = "counts"
        self._append(part, shape, Connection("conv", kernel, groups=shape[0]), neuron)

    def _conv(self, part: Part) -> None:
        weight, out = part.ints("weight", *WEIGHTS), part.shape()
        if weight.ndim == 5 and weight.shape[4] == 1:  # slayer's weight has an axis for time, older files keep it
            weight = weight[..., 0]
        if weight.ndim != 4:
            raise part.error(f"weight is {list(weight.shape)}, allowed [C_out, C_in / groups, K_y, K_x]")
        geometry: dict[str, Any] = {"stride": part.pair("stride", 1), "padding": part.pair("padding", 0)}
        geometry["dilation"] = part.pair("dilation", 1)
        groups = part.one("groups", 1, 1 << 16)
        if self.sent is None:
            sides = _input_sides(part, out, weight.shape[2:], **geometry)
            self._hear(part, (weight.shape[1] * groups, *sides))
        mantissa, _ = _word(part, weight, (0,))  # an exponent would help odd weights, but Lava's Conv ignores it
        link = Connection("conv", mantissa, groups=groups, **geometry)
        self._append(part, out, link, _neuron(part, len(weight)))

    def _pool(self, part: Part) -> None:
        weight, out = part.ints("weight", *WEIGHTS), part.shape()
        kernel, stride = weight.shape[2:4], part.pair("stride", 1)
        if weight.size != np.prod(stride) or kernel != stride:
            raise part.error(
                f"kernel {list(weight.shape)} with stride {stride}, allowed one kernel of the stride's size"
            )
        if part.pair("padding", 0) != (0, 0) or part.pair("dilation", 1) != (1, 1):
            raise part.error("padding and dilation of a pool run over the border between channels, allowed none")
        if self.sent is None:
            self._hear(part, (out[0], out[1] * kernel[0], out[2] * kernel[1]))
        c, h, w = self.sent or out
        if h % kernel[0] or w % kernel[1]:
            raise part.error(f"kernel {kernel} does not divide the map {h}x{w}: use a strided convolution")
        link = Connection("conv", np.repeat(weight.reshape(1, 1, *kernel), c, 0).astype(np.int32), stride, groups=c)
        self._append(part, out, link, _neuron(part, c))

    def _flatten(self, part: Part) -> None:
        if self.sent is None:
            raise part.error("comes first, and nothing says what it flattens: give the input's shape")
        self._flat = True

    def _dense(self, part: Part) -> None:
        weight, neurons = part.ints("weight", *WEIGHTS), int(np.prod(part.shape()))
        if weight.ndim == 1 and weight.size % neurons == 0:
            weight = weight.reshape(neurons, -1)
        if weight.ndim != 2 or len(weight) != neurons:
            raise part.error(f"weight is {list(weight.shape)}, allowed [{neurons}, inputs]: export it again")
        if self.sent is None:
            self._hear(part, (weight.shape[1], 1, 1))
        if self.sent is not None and self.sent[1:] != (1, 1) and not self._flat:
            raise part.error(f"hears a map {self.sent} without a flatten before it: put one there")
        self._flat = False
        mantissa, exponent = _word(part, weight, (0, -1))
        link = Connection("dense", mantissa, weight_exp=exponent)
        self._append(part, (neurons, 1, 1), link, _neuron(part, neurons))

    def _average(self, part: Part) -> None:
        outputs, given = int(np.prod(part.shape())), self.layers[-1].neurons if self.layers else 0
        if not given or given % outputs:
            raise part.error(f"averages {given} neurons into {outputs} outputs, needed a whole number each")
        self._flat = False
        weight = np.kron(np.eye(outputs), np.full((1, given // outputs), outputs / given)).astype(np.float32)
        names = tuple(str(number) for number in range(outputs))
        self.readout = Readout(weight, np.zeros(outputs, np.float32), decay=0.0, names=names)

    def _hear(self, part: Part, shape: Shape) -> None:
        """The input's shape, as a layer tells it."""
        if self.input_shape not in (None, shape):
            raise part.error(f"takes an input of {shape}, asked for {self.input_shape}: leave the input's shape out")
        self.sent = self.input_shape = shape

    def _append(self, part: Part, out: Shape, link: Connection, neuron: LoihiNeuron) -> None:
        if self.sent is None or (self._flat and link.kind == "conv"):
            raise part.error("stands behind a flatten, where only dense may stand: move the flatten")
        layer = Layer(part.name, self.sent, out, link, neuron)
        check_layer(layer)
        self.layers.append(layer)
        self.sent = out


def _neuron(part: Part, channels: int) -> LoihiNeuron:
    """CUBA-LIF; whatever else a neuron may have is refused."""
    if not part.has("neuron"):
        raise part.error(
            "has no neurons (slayer's Affine), its dynamics are not in the file: export the network to here"
        )
    kind = part.text("neuron/type")
    if kind not in ("CUBA", "LOIHI"):
        raise part.error(f'neurons of type "{kind}" are not converted, known are CUBA and LOIHI: train with those')
    wanted = {"neuron/refDelay": 1, "neuron/gradedSpike": 0, "neuron/messageBits": 0, "neuron/weight_exp": 0,
              "neuron/wgtExp": 0, "delay": 0}  # fmt: skip
    for key, value in wanted.items():
        found = part.ints(key, -(1 << 31), 1 << 31) if part.has(key) else np.array([value])
        if np.any(found != value):
            raise part.error(f"{key} is {found[found != value].flat[0]}, allowed {value}: train without it")
    bias = part.ints("bias", *BIASES).ravel() if part.has("bias") else np.zeros(1, np.int64)
    if len(bias) not in (1, channels):
        raise part.error(f"bias has {len(bias)} numbers, allowed {channels}, one a channel: export it again")
    return LoihiNeuron(
        du=part.one("neuron/iDecay", 1, 4096) - 1,
        dv=part.one("neuron/vDecay", 0, 4095),
        vth=part.one("neuron/vThMant", 0, 131071),
        bias=np.broadcast_to(bias << BIAS_EXP, channels).astype(np.int32),
        bias_exp=BIAS_EXP,
    )


def _word(part: Part, weight: np.ndarray, exponents: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """Mantissa and exponent that hold the weights exactly: odd ones of both signs lose their last bit without."""
    for exponent in exponents:
        mantissa = (weight << -exponent).astype(np.int32)
        if np.array_equal(on_grid(mantissa), mantissa):
            return mantissa, exponent
    odd = "" if len(exponents) == 1 else ", odd ones within -128..127"
    raise part.error(
        f"weight holds {weight.min()}..{weight.max()}, allowed -255..0, 0..255, or even -256..254{odd}: "
        "export it as slayer quantises it"
    )


def _input_sides(
    part: Part, out: Shape, kernel: tuple[int, ...], stride: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, int]:  # fmt: skip
    """(H, W) that a first convolution hears, where its own shape leaves no choice."""
    if stride != (1, 1):
        raise part.error("is strided and first, so its input's size cannot be told: give the input's shape")
    h, w = (
        side - 2 * pad + wide * (k - 1) for side, pad, wide, k in zip(out[1:], padding, dilation, kernel, strict=True)
    )
    return h, w
