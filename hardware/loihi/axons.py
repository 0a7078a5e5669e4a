"""Which neurons a slice of a layer hears and which slices it sends to: axons and synapses, borders exact."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hardware.program import ChipProgram, Layer, Shape


class Part(NamedTuple):
    """Output channels c0 <= c < c1 and rows y0 <= y < y1 of a layer."""

    c0: int
    c1: int
    y0: int
    y1: int


@dataclass(frozen=True)
class Hearing:
    """What a layer's neurons hear of what it receives.

    rows: bool [H_out, H_in], columns: bool [W_out, W_in]: whether an output's row or column hears an input's.
    group_in, group_out: channels of one group, received and its own.
    sources: layers added up, each with axons of its own.
    pool: of the spikes it receives, before they are sent (not on Loihi; its rule reports it).
    """

    rows: np.ndarray
    columns: np.ndarray
    group_in: int
    group_out: int
    sources: int
    pool: int

    def fan_in(self, part: Part) -> int:
        """Source neurons that reach at least one neuron of the slice."""
        rows = int(self.rows[part.y0 : part.y1].any(axis=0).sum())
        columns = int(self.columns.any(axis=0).sum())
        return self.sources * self._groups(part) * self.group_in * rows * columns

    def synapses(self, part: Part) -> int:
        """Connections onto the slice: the synaptic operations of a step in which every input spikes."""
        taps = int(self.rows[part.y0 : part.y1].sum()) * int(self.columns.sum())
        return self.sources * (part.c1 - part.c0) * self.group_in * taps

    def _groups(self, part: Part) -> int:
        return (part.c1 - 1) // self.group_out - part.c0 // self.group_out + 1


class Destinations:
    """The slices that a layer's spikes go to.

    Args:
        there: of each layer that listens, what it hears and its slices.
    """

    def __init__(self, there: Iterable[tuple[Hearing, list[Part]]]) -> None:
        each = [(hearing, part) for hearing, parts in there for part in parts]
        groups = [(part.c0 // hearing.group_out, (part.c1 - 1) // hearing.group_out + 1) for hearing, part in each]
        self._from = np.array([g * hearing.group_in for (g, _), (hearing, _) in zip(groups, each, strict=True)], int)
        self._to = np.array([g * hearing.group_in for (_, g), (hearing, _) in zip(groups, each, strict=True)], int)
        self._columns = np.array([hearing.columns.any(axis=0).sum() * hearing.pool for hearing, _ in each], int)
        heard = [np.repeat(hearing.rows[part.y0 : part.y1].any(axis=0), hearing.pool) for hearing, part in each]
        self._rows = np.array([np.concatenate([[0], np.cumsum(rows)]) for rows in heard], int)

    def fan_out(self, part: Part) -> int:
        """Edges from the slice's neurons to other slices: for each neuron, the slices that hear it."""
        if not len(self._from):
            return 0
        channels = np.clip(np.minimum(part.c1, self._to) - np.maximum(part.c0, self._from), 0, None)
        y0, y1 = (min(y, self._rows.shape[1] - 1) for y in (part.y0, part.y1))  # pooling loses rows at the end
        return int((channels * (self._rows[:, y1] - self._rows[:, y0]) * self._columns).sum())


def hearings(program: ChipProgram) -> dict[str, Hearing]:
    """What each layer hears."""
    sent = {"input": program.input.shape} | {layer.name: layer.sent_shape for layer in program.layers}
    pools = {"input": 1} | {layer.name: layer.pool for layer in program.layers}
    return {
        layer.name: _hearing(layer, sent[names[0]], len(names), pools[names[0]])
        for layer, names in zip(program.layers, program.sources, strict=True)
    }


def _hearing(layer: Layer, in_shape: Shape, count: int, pool: int) -> Hearing:
    link, (channels, height, width) = layer.connection, layer.out_shape
    if link.kind == "dense":
        rows, columns = np.ones((height, in_shape[1]), bool), np.ones((width, in_shape[2]), bool)
        return Hearing(rows, columns, in_shape[0], channels, count, pool)
    rows, columns = (
        _taps(in_shape[i + 1], size, link.weight.shape[i + 2], link.stride[i], link.padding[i], link.dilation[i])
        for i, size in enumerate((height, width))
    )
    return Hearing(rows, columns, link.weight.shape[1], channels // link.groups, count, pool)


def _taps(inputs: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """Whether output o hears input i: bool [outputs, inputs]."""
    place = np.add.outer(np.arange(outputs) * stride - padding, np.arange(kernel) * dilation)
    heard = np.zeros((outputs, inputs), bool)
    output, tap = np.nonzero((place >= 0) & (place < inputs))
    heard[output, place[output, tap]] = True
    return heard
