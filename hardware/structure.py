"""What every program must be, on whichever chip: parts that fit together, integers, geometry that can be computed.

Checked once, when a program is made or read, so that whatever places, checks or runs it can rely on it. What a chip
does not hold is another question, answered by its rules.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from neuva import NeuvaError

if TYPE_CHECKING:
    from hardware.program import ChipProgram, Connection, Layer, Readout, Shape

MOST_NEURONS = 1 << 24
"""Of a layer, or values of the input: 16 times what a whole Loihi 2 holds, and little enough for any memory."""
INT32 = np.iinfo(np.int32)


def check_structure(program: ChipProgram) -> None:
    """Each layer takes what its sources send, the read-out what the last one sends, and all are as `check_layer` asks.

    Raises:
        NeuvaError: names the part.
    """
    check_sides("input", program.input.shape)
    sent = {"input": program.input.shape}
    for layer, sources in zip(program.layers, program.sources, strict=True):
        for source in sources:
            if source not in sent:
                raise NeuvaError(
                    f"layer {layer.name} hears {source}, which is no layer before it: known are {', '.join(sent)}"
                )
            flat = layer.connection.kind == "dense" and prod(layer.in_shape) == prod(sent[source])
            if layer.in_shape != sent[source] and not flat:
                raise NeuvaError(f"layer {layer.name} takes {layer.in_shape} but is given {sent[source]}")
        if layer.name in sent:
            raise NeuvaError(f"two layers are called {layer.name}: give each its own name")
        check_layer(layer)
        sent[layer.name] = layer.sent_shape
    if program.readout is not None:
        _check_readout(program.readout, prod(program.layers[-1].sent_shape))


def check_sides(where: str, shape: Shape) -> None:
    """(C, H, W) of something that fits a memory.

    Raises:
        NeuvaError: if it is none.
    """
    if len(shape) != 3 or min(shape) < 1 or prod(shape) > MOST_NEURONS:
        raise NeuvaError(
            f"{where}: shape {tuple(shape)}, allowed (C, H, W) of 1 or more each and {MOST_NEURONS:,} multiplied: "
            "make the network smaller"
        )


def check_layer(layer: Layer) -> None:
    """Weights and biases are int32 numbers of the axes that `Connection` has, and out_shape follows from in_shape.

    Raises:
        NeuvaError: if not.
    """
    where, link = f"layer {layer.name}", layer.connection
    for name, shape in (("in_shape", layer.in_shape), ("out_shape", layer.out_shape)):
        check_sides(f"{where}: {name}", shape)
    if layer.pool < 1:
        raise NeuvaError(f"{where}: pools by {layer.pool}, allowed 1 or more: convert it again")
    _check_integers(f"{where}: weight", link.weight, 2 if link.kind == "dense" else 4)
    _check_integers(f"{where}: bias", layer.neuron.bias, 1)
    if layer.neuron.bias.shape != layer.out_shape[:1]:
        found = list(layer.neuron.bias.shape)
        raise NeuvaError(f"{where}: bias is {found}, allowed [{layer.out_shape[0]}], one a channel")
    _check_geometry(where, link)
    measured: tuple[int, ...]
    allowed: tuple[int, ...]
    if link.kind == "dense":
        what, measured, allowed = "weight", link.weight.shape, (layer.neurons, prod(layer.in_shape))
    else:
        channels, count = layer.in_shape[0], layer.out_shape[0]
        if channels % link.groups or count % link.groups:
            raise NeuvaError(f"{where}: {link.groups} groups do not divide {channels} and {count} channels")
        what = "weight channels and out_shape"
        measured = (*link.weight.shape[:2], *layer.out_shape[1:])
        allowed = (count, channels // link.groups, *_sides(layer))
    if measured != allowed:
        raise NeuvaError(f"{where}: {what} {list(measured)}, allowed {list(allowed)}: convert it again")


def _check_integers(where: str, values: np.ndarray, axes: int) -> None:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iu" or values.ndim != axes or not values.size:
        found = f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else type(values).__name__
        raise NeuvaError(f"{where} is {found}, allowed integers of {axes} axes: quantise the network, convert it again")
    for value in (values.min(), values.max()):
        if not INT32.min <= value <= INT32.max:
            raise NeuvaError(f"{where} holds {value}, allowed {INT32.min}..{INT32.max}: convert it again")


def _check_geometry(where: str, link: Connection) -> None:
    pairs = (("stride", link.stride, 1), ("dilation", link.dilation, 1), ("padding", link.padding, 0))
    for name, pair, least in pairs:
        if len(pair) != 2 or min(pair) < least:
            raise NeuvaError(f"{where}: {name} {pair}, allowed two numbers (y, x) from {least} on: convert it again")
    if link.groups < 1:
        raise NeuvaError(f"{where}: {link.groups} groups, allowed 1 or more: convert it again")


def _sides(layer: Layer) -> tuple[int, ...]:
    """(H, W) that a convolution gives."""
    link = layer.connection
    return tuple(
        (size + 2 * pad - wide * (k - 1) - 1) // step + 1
        for size, pad, wide, k, step in zip(
            layer.in_shape[1:], link.padding, link.dilation, link.weight.shape[2:], link.stride, strict=True
        )
    )


def _check_readout(readout: Readout, given: int) -> None:
    """The read-out takes what the last layer sends."""
    if readout.weight.ndim != 2 or readout.every < 1 or len(readout.names) != len(readout.weight):
        raise NeuvaError(
            f"a read-out needs a matrix, estimates and a name for each output; it has {readout.weight.shape}, "
            f"an estimate every {readout.every} steps and {len(readout.names)} names"
        )
    if readout.weight.shape[1] != given:
        raise NeuvaError(f"read-out takes {readout.weight.shape[1]} spikes but is given {given}")
