"""How many synapses a spike drives, and which spikes reach a layer: exact, borders included."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hardware.program import ChipProgram, Layer, Shape
from hardware.trace import Trace
from neuva import NeuvaError


def received(program: ChipProgram) -> Iterator[tuple[Layer, Shape]]:
    """Each layer with the shape (C, H, W) of the spikes that reach it."""
    sent = {"input": program.input.shape} | {layer.name: layer.sent_shape for layer in program.layers}
    for layer, names in zip(program.layers, program.sources, strict=True):
        yield layer, sent[names[0]]


def steps_of(trace: Trace) -> int:
    """Steps of dt in a run, the last one perhaps short."""
    return -(-trace.duration_us // trace.dt_us)


def axis_reach(inputs: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """Whether input i reaches an output through tap k along one axis: bool [inputs, kernel].

    out * stride = i + padding - k * dilation, with 0 <= out < outputs.
    """
    place = np.arange(inputs)[:, None] + padding - np.arange(kernel)[None, :] * dilation
    return (place % stride == 0) & (place >= 0) & (place // stride < outputs)


def reach(layer: Layer, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """`axis_reach` along y and x; a dense layer is one kernel as large as what it receives."""
    link = layer.connection
    if link.kind == "dense":
        return np.eye(shape[1], dtype=bool), np.eye(shape[2], dtype=bool)
    kernel = link.weight.shape[2:]
    rows, columns = (
        axis_reach(shape[i + 1], layer.out_shape[i + 1], kernel[i], link.stride[i], link.padding[i], link.dilation[i])
        for i in (0, 1)
    )
    return rows, columns


def fanout(layer: Layer, shape: Shape, *, nonzero: bool = False) -> np.ndarray:
    """Synapses that one spike of each input drives: int64 [C, H, W].

    Args:
        layer: the layer.
        shape: (C, H, W) of what reaches it.
        nonzero: leave out synapses of weight zero.
    """
    link = layer.connection
    there = (link.weight != 0) if nonzero else np.ones(link.weight.shape, bool)
    if link.kind == "dense":
        return there.sum(axis=0, dtype=np.int64).reshape(shape)
    c_out, per_group, k_y, k_x = (int(side) for side in there.shape)
    by_tap = there.reshape(link.groups, c_out // link.groups, per_group, k_y, k_x).sum(axis=1, dtype=np.int64)
    rows, columns = (axis.astype(np.int64) for axis in reach(layer, shape))
    # two plain products: a three-operand einsum would go through every pair of places
    return np.einsum("yk,ckx->cyx", rows, np.einsum("ckl,xl->ckx", by_tap.reshape(-1, k_y, k_x), columns))


def arrivals(trace: Trace, program: ChipProgram, index: int) -> np.ndarray:
    """Spikes that reached layer `index` in a run, per input: int64 [C, H, W].

    On Speck each spike of a count is an event of its own; on Loihi a count is the payload of one spike.

    Raises:
        NeuvaError: if the trace lacks the spikes of a layer it hears, or they have another shape than the program's.
    """
    layers = {layer.name: layer for layer in program.layers}
    return np.sum([_sent(trace, program, name, layers.get(name)) for name in program.sources[index]], axis=0)


def _sent(trace: Trace, program: ChipProgram, name: str, layer: Layer | None) -> np.ndarray:
    """Spikes that a source, a layer or the input (None), sent on in a run."""
    shape = layer.out_shape if layer else program.input.shape
    spikes = trace.spikes.get(name)
    if spikes is None or spikes.shape != shape:
        measured = "none" if spikes is None else f"shape {spikes.shape}"
        raise NeuvaError(f"spikes of {name} in the trace: {measured}, allowed {shape}: run this program again")
    each = spikes.count if program.family == "speck" else None
    total = np.bincount(spikes.neuron, each, int(np.prod(shape))).astype(np.int64).reshape(shape)
    return _pooled(total, layer.pool) if layer else total


def _pooled(total: np.ndarray, pool: int) -> np.ndarray:
    """Sums over whole windows; rows and columns beyond the last one are lost."""
    c, h, w = total.shape[0], total.shape[1] // pool, total.shape[2] // pool
    return total[:, : h * pool, : w * pool].reshape(c, h, pool, w, pool).sum(axis=(2, 4))
