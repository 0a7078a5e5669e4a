"""One emulated layer: its state, its synapses, and what it did in a stretch of steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from hardware.loihi.kernels import axis_taps, scatter, update
from hardware.loihi.weights import on_grid
from hardware.program import Layer, LoihiNeuron, Shape
from hardware.trace import Spikes
from neuva import NeuvaError


@dataclass(frozen=True)
class Activity:
    """Spikes of consecutive steps: those of step k are index[start[k]:start[k + 1]].

    start: int64 [T + 1]; index: int32, neurons flat in (H, W, C) order; value: int32, payloads.
    """

    start: np.ndarray
    index: np.ndarray
    value: np.ndarray

    @classmethod
    def silent(cls, steps: int) -> Activity:
        """No spikes."""
        none = np.zeros(0, np.int32)
        return cls(np.zeros(steps + 1, np.int64), none, none)

    @classmethod
    def of_dense(cls, spikes: np.ndarray) -> Activity:
        """From [T, C, H, W]."""
        steps, c, h, w = spikes.shape
        flat = np.ascontiguousarray(spikes).reshape(-1)
        where = np.flatnonzero(flat != 0)
        step, neuron = np.divmod(where, c * h * w)
        channel, place = np.divmod(neuron, h * w)
        start = np.searchsorted(step, np.arange(steps + 1)).astype(np.int64)
        return cls(start, (place * c + channel).astype(np.int32), flat[where].astype(np.int32))

    def after_silence(self) -> Activity:
        """The same after one silent step: what the next layer hears."""
        return Activity(np.concatenate([self.start[:1], self.start]), self.index, self.value)

    def spikes(self, shape: Shape, dt_us: int) -> Spikes:
        """As the trace has them, of neurons (C, H, W)."""
        c, h, w = shape
        neuron, order = _by_channel(self.start, self.index, c, h * w)
        step = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        return Spikes(shape, step * dt_us, neuron, self.value[order])


@dataclass(frozen=True)
class Result:
    """What a layer did: spikes, optional u and v [T, C, H, W], hits [H, groups] (see `scatter`), overflows."""

    activity: Activity
    u: np.ndarray
    v: np.ndarray
    hits: np.ndarray
    wraps: int
    clips: int


class Population:
    """A layer with its state u, v.

    A dense layer is a convolution whose kernel is as large as what it receives, onto one place, whose channels are
    the layer's neurons in (H, W, C) order.

    Args:
        layer: with Loihi's neurons.
        in_shape: (C, H, W) of the spikes it receives.
        like_lava: see `LoihiEmulator`.

    Raises:
        NeuvaError: if weight, bias and shapes do not fit together.
    """

    def __init__(self, layer: Layer, in_shape: Shape, *, like_lava: bool) -> None:
        link, neuron = layer.connection, layer.neuron
        if not isinstance(neuron, LoihiNeuron):
            raise TypeError(f"layer {layer.name} has no Loihi neurons")
        check_geometry(layer, in_shape)
        c, h, w = self.shape = layer.out_shape
        self._dense = link.kind == "dense"
        raw = like_lava and not self._dense
        weight = np.asarray(link.weight).astype(np.int32) if raw else on_grid(link.weight)
        if self._dense:
            kernel = weight.reshape(c, h, w, *in_shape).transpose(1, 2, 0, 3, 4, 5).reshape(layer.neurons, *in_shape)
            stride, padding, dilation, groups = (1, 1), (0, 0), (1, 1), 1
            places, self._inner = (1, 1), (1, layer.neurons)
        else:
            kernel = weight
            stride, padding, dilation, groups = link.stride, link.padding, link.dilation, link.groups
            places, self._inner = (h, w), (h * w, c)
        self._synapses = (
            _kernel_rows(kernel, groups),
            axis_taps(in_shape[1], places[0], kernel.shape[2], stride[0], padding[0], dilation[0]),
            axis_taps(in_shape[2], places[1], kernel.shape[3], stride[1], padding[1], dilation[1]),
            in_shape[0],
            groups,
        )
        self._groups, self._places = groups, places
        bias = np.tile(np.asarray(neuron.bias).astype(np.int32), h * w if self._dense else 1)
        constants = (int(neuron.du), int(neuron.dv), int(neuron.vth), 0 if raw else int(link.weight_exp))
        self._neurons = (bias, constants, like_lava)
        self.reset()

    def reset(self) -> None:
        """Zero current and voltage."""
        self._u, self._v = np.zeros(self._inner, np.int32), np.zeros(self._inner, np.int32)

    def run(self, heard: Activity, *, record_state: bool = False) -> Result:
        """The steps that answer `heard`, state kept."""
        c, h, w = self.shape
        steps = len(heard.start) - 1
        hits = np.zeros((self._places[0], self._groups), np.int64)
        kept = np.zeros((2, steps if record_state else 0, *self._inner), np.int32)
        a_in = np.zeros((*self._places, self._inner[1]), np.int32)
        start, index, wraps, clips = _run(
            heard.start, heard.index, heard.value, self._synapses, self._neurons, self._u, self._v, a_in, hits, kept
        )
        u, v = kept.reshape(2, -1, h, w, c).transpose(0, 1, 4, 2, 3)
        return Result(Activity(start, index, np.ones(len(index), np.int32)), u, v, hits, wraps, clips)

    def counts(self, result: Result) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Synaptic operations, neuron updates and spikes, each int64 [C, H]."""
        c, h, w = self.shape
        per_row = np.broadcast_to(result.hits * w, (h, 1)) if self._dense else result.hits
        synops = np.repeat(per_row.T, c // self._groups, axis=0)
        updates = np.full((c, h), (len(result.activity.start) - 1) * w, np.int64)
        place, channel = np.divmod(result.activity.index, c)
        spikes = np.bincount(channel * h + place // w, minlength=c * h).reshape(c, h)
        return synops, updates, spikes


def check_geometry(layer: Layer, in_shape: Shape) -> None:
    """Weight, bias and out_shape must follow from in_shape and the connection.

    Raises:
        NeuvaError: if they do not.
    """
    link, bias = layer.connection, np.shape(layer.neuron.bias)
    if bias != layer.out_shape[:1]:
        raise NeuvaError(f"layer {layer.name}: bias is {list(bias)}, allowed [{layer.out_shape[0]}], one a channel")
    if link.kind == "dense":
        measured, allowed = link.weight.shape, (layer.neurons, int(np.prod(in_shape)))
    else:
        c_out, kernel = layer.out_shape[0], link.weight.shape[2:]
        if in_shape[0] % link.groups or c_out % link.groups:
            raise NeuvaError(
                f"layer {layer.name}: {link.groups} groups do not divide {in_shape[0]} and {c_out} channels"
            )
        sides = tuple(
            (size + 2 * pad - wide * (k - 1) - 1) // step + 1
            for size, pad, wide, k, step in zip(
                in_shape[1:], link.padding, link.dilation, kernel, link.stride, strict=True
            )
        )
        measured = (*link.weight.shape[:2], *layer.out_shape[1:])
        allowed = (c_out, in_shape[0] // link.groups, *sides)
    if measured != allowed:
        what = "weight" if link.kind == "dense" else "weight channels and out_shape"
        raise NeuvaError(f"layer {layer.name}: {what} {list(measured)}, allowed {list(allowed)}: convert it again")


def _kernel_rows(kernel: np.ndarray, groups: int) -> np.ndarray:
    """[C_out, C_in / groups, K_y, K_x] to [C_in, K_y, K_x, C_out / groups], the outputs side by side."""
    c_out, per_group, k_y, k_x = kernel.shape
    rows = kernel.reshape(groups, c_out // groups, per_group, k_y, k_x).transpose(0, 2, 3, 4, 1)
    return np.ascontiguousarray(rows.reshape(groups * per_group, k_y, k_x, c_out // groups))


@njit(cache=True)
def _by_channel(start, index, channels, places):  # type: ignore[no-untyped-def]
    """Flat (C, H, W) indices, ascending within each step, and where each stood: a counting sort over channels."""
    neuron, order = np.empty(index.size, np.int32), np.empty(index.size, np.int64)
    slot = np.zeros(channels + 1, np.int64)
    for step in range(start.size - 1):
        slot[:] = 0
        for k in range(start[step], start[step + 1]):
            slot[index[k] % channels + 1] += 1
        slot[0] = start[step]
        for c in range(channels):
            slot[c + 1] += slot[c]
        for k in range(start[step], start[step + 1]):
            place, channel = divmod(index[k], channels)
            neuron[slot[channel]] = channel * places + place
            order[slot[channel]] = k
            slot[channel] += 1
    return neuron, order


@njit(cache=True)
def _run(start, index, value, synapses, neurons, u, v, a_in, hits, kept):  # type: ignore[no-untyped-def]
    """Scatter and update for every step; spikes as (start, index), wraps and clips."""
    weight, rows, columns, in_channels, groups = synapses
    bias, constants, wrap_once = neurons
    steps = len(start) - 1
    flat_a = a_in.reshape(u.shape)
    out_start = np.zeros(steps + 1, np.int64)
    out = np.empty(4 * u.size, np.int32)
    used = wraps = clips = 0
    for step in range(steps):
        now = slice(start[step], start[step + 1])
        scatter(a_in, hits, index[now], value[now], weight, rows, columns, in_channels, groups)
        if used + u.size > out.size:  # room for the case that every neuron spikes
            grown = np.empty(2 * out.size, np.int32)
            grown[:used] = out[:used]
            out = grown
        spiked, wrapped, clipped = update(flat_a, u, v, bias, constants, wrap_once, out[used:])
        used, wraps, clips = used + spiked, wraps + wrapped, clips + clipped
        out_start[step + 1] = used
        if kept.shape[1]:
            kept[0, step] = u
            kept[1, step] = v
    return out_start, out[:used].copy(), wraps, clips
