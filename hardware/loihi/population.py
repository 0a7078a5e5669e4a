"""One emulated layer: its synapses, its neurons' constants, and what they do in a stretch of steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware.loihi.activity import Activity
from hardware.loihi.kernels import ACTIVATION_SHIFT, STATE_BITS, STATE_LIMIT, axis_taps, place_taps, run
from hardware.loihi.weights import on_grid
from hardware.program import Layer, LoihiNeuron, Shape
from neuva import NeuvaError

RANGES = {"du": (0, 4095), "dv": (0, 4095), "vth": (0, 131071), "bias_exp": (0, 7)}
BIAS_MOST = 4096 << 7
WEIGHT_EXP = (-8, 7)


@dataclass
class State:
    """A layer's current and voltage, int32 [places, channels], and the number of the clip's next step (from 0)."""

    u: np.ndarray
    v: np.ndarray
    step: int


@dataclass(frozen=True)
class Result:
    """What a layer did: spikes, optional u and v [T, C, H, W], synaptic operations [C, H], overflows."""

    activity: Activity
    u: np.ndarray
    v: np.ndarray
    synops: np.ndarray
    wraps: int
    clips: int


class Population:
    """A layer of a program; it holds no state, so several chips share it.

    A dense layer is a convolution whose kernel is as large as what it receives, onto one place, whose channels are
    the layer's neurons in (H, W, C) order.

    Args:
        layer: of a program, with Loihi's neurons.
        in_shape: (C, H, W) of the spikes it receives.
        like_lava: see `LoihiEmulator`.
        reset_every: see `ChipProgram`.

    Raises:
        NeuvaError: if a constant is none that a register holds.
    """

    def __init__(self, layer: Layer, in_shape: Shape, *, like_lava: bool, reset_every: int = 0) -> None:
        link, neuron = layer.connection, layer.neuron
        if not isinstance(neuron, LoihiNeuron):
            raise TypeError(f"layer {layer.name} has no Loihi neurons")
        check_constants(layer, neuron)
        c, h, w = self.shape = layer.out_shape
        self._dense = link.kind == "dense"
        raw = like_lava and not self._dense
        weight = np.asarray(link.weight).astype(np.int32) if raw else on_grid(link.weight)
        if self._dense:
            kernel = weight.reshape(c, h, w, *in_shape).transpose(1, 2, 0, 3, 4, 5).reshape(layer.neurons, *in_shape)
            stride, padding, dilation, self._groups = (1, 1), (0, 0), (1, 1), 1
            places, self._inner = (1, 1), (1, layer.neurons)
        else:
            kernel = weight
            stride, padding, dilation, self._groups = link.stride, link.padding, link.dilation, link.groups
            places, self._inner = (h, w), (h * w, c)
        rows = axis_taps(in_shape[1], places[0], kernel.shape[2], stride[0], padding[0], dilation[0])
        columns = axis_taps(in_shape[2], places[1], kernel.shape[3], stride[1], padding[1], dilation[1])
        self._synapses = (_kernel_rows(kernel, self._groups), *place_taps(rows, columns, places[1], kernel.shape[3]))
        self._reach = _reach(rows, places[0]), _reach(columns, places[1]).sum(axis=1)
        self._strongest = int(np.abs(kernel.astype(np.int64)).sum(axis=(1, 2, 3)).max())
        # Lava's Conv keeps its sum in a register of 24 bits: the uppermost 8 of 32 are shifted out and back
        exp, lost = (0, 32 - STATE_BITS) if raw else (int(link.weight_exp), 0)
        self._shifts = (lost, lost + max(-exp, 0), ACTIVATION_SHIFT + max(exp, 0))
        bias = np.tile(np.asarray(neuron.bias).astype(np.int32), h * w if self._dense else 1)
        self._neurons = (bias, (int(neuron.du), int(neuron.dv), int(neuron.vth)), self._shifts, like_lava)
        self._reset_every = reset_every

    def zero_state(self, steps_before: int) -> State:
        """Neither current nor voltage, so many steps before the clip's first."""
        return State(np.zeros(self._inner, np.int32), np.zeros(self._inner, np.int32), -steps_before)

    def run(self, state: State, heard: Activity, *, record_state: bool = False) -> Result:
        """The steps that answer `heard`; the state is brought forward."""
        c, h, w = self.shape
        kept = np.zeros((2, heard.steps if record_state else 0, *self._inner), np.int32)
        a_in = np.zeros(self._inner, self._sum_type(heard))
        heard_at = np.zeros((len(self._synapses[1]) - 1, self._groups), np.int64)
        resets = (state.step, self._reset_every)
        start, index, wraps, clips = run(
            heard.start, heard.index, heard.value, self._synapses, self._neurons, state.u, state.v, resets, a_in,
            heard_at, kept,
        )  # fmt: skip
        state.step += heard.steps
        u, v = kept.reshape(2, -1, h, w, c).transpose(0, 1, 4, 2, 3)
        activity = Activity(start, index, np.ones(len(index), np.int32))
        return Result(activity, u, v, self._synops(heard_at), wraps, clips)

    def _sum_type(self, heard: Activity) -> type[np.signedinteger]:
        """32 bits where no sum of these spikes can leave them before u is wrapped, and as Lava has; else 64."""
        most = self._strongest * max(1, int(heard.value.max(initial=1))) << self._shifts[2]
        wraps_in_32_bits = self._neurons[3]
        return np.int32 if wraps_in_32_bits or most + STATE_LIMIT < 1 << 31 else np.int64

    def _synops(self, heard_at: np.ndarray) -> np.ndarray:
        """Synapses driven, int64 [C, H], from the spikes heard at each input place, [places, groups]."""
        (c, h, w), (rows, columns) = self.shape, self._reach
        hits = rows.T @ (heard_at.reshape(len(rows), len(columns), -1) * columns[:, None]).sum(axis=1)
        per_row = np.broadcast_to(hits * w, (h, 1)) if self._dense else hits
        return np.repeat(per_row.T, c // self._groups, axis=0)


def check_constants(layer: Layer, neuron: LoihiNeuron) -> None:
    """Decays, threshold, bias and weight_exp must be what registers hold: the arithmetic's bits rely on it.

    Raises:
        NeuvaError: if they are not.
    """
    bias, exp = np.asarray(neuron.bias), layer.connection.weight_exp
    measured = [(name, getattr(neuron, name), *allowed) for name, allowed in RANGES.items()]
    measured += [("bias", value, -BIAS_MOST, BIAS_MOST) for value in (bias.min(), bias.max())]
    for name, value, least, most in [*measured, ("weight_exp", exp, *WEIGHT_EXP)]:
        if not least <= value <= most:
            raise NeuvaError(f"layer {layer.name}: {name} {value}, allowed {least}..{most}: scale the layer down")


def _kernel_rows(kernel: np.ndarray, groups: int) -> np.ndarray:
    """[C_out, C_in / groups, K_y, K_x] to [C_in, K_y * K_x, C_out / groups], in 16 bits if they fit."""
    c_out, per_group, k_y, k_x = kernel.shape
    rows = kernel.reshape(groups, c_out // groups, per_group, k_y, k_x).transpose(0, 2, 3, 4, 1)
    fits = np.abs(kernel).max(initial=0) < 1 << 15
    return np.ascontiguousarray(rows.reshape(groups * per_group, k_y * k_x, -1), np.int16 if fits else np.int32)


def _reach(table: np.ndarray, outputs: int) -> np.ndarray:
    """How many taps lead from each input to each output along an axis, int64 [inputs, outputs], of `axis_taps`."""
    count = np.zeros((len(table), outputs), np.int64)
    place, slot = np.nonzero(table[:, :, 0] >= 0)
    np.add.at(count, (place, table[place, slot, 0]), 1)
    return count
