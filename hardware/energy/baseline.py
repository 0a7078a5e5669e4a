"""The same network as a conventional 8-bit one: dense multiply-accumulates and the memory traffic they need.

E = MACs e_mac + bits e_bit

The bits moved depend on how much a value is reused once it is fetched. Low: each weight and input that is used is
read once and each output written once a pass. Typical: weights stay in place, an input is fetched once for each place
of the kernel and shared by all outputs of its group. High: each MAC fetches its weight and its input.
One inference is one pass over what came in since the last estimate, as a frame-based network would do it; a network
that passes over every step costs `passes` times as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware.energy.activity import Activity
from hardware.energy.fanout import fanout, reach, received
from hardware.energy.interval import ZERO, Interval
from hardware.energy.table import EnergyTable
from hardware.program import ChipProgram, Layer, Shape

TABLE = "mac45nm"
WORD_BITS = 8


@dataclass(frozen=True)
class LayerMacs:
    """One layer in one pass: MACs, exact with borders (padding costs none), and the 8-bit words it moves."""

    layer: str
    macs: int
    words: Interval


@dataclass(frozen=True)
class Baseline:
    """One pass of the conventional network: its counts and energies in joules. passes: steps an estimate spans."""

    layers: tuple[LayerMacs, ...]
    arithmetic: Interval
    memory: Interval
    passes: int
    notes: tuple[str, ...]
    sources: list[dict[str, Any]]

    @property
    def macs(self) -> int:
        """MACs of a pass."""
        return sum(layer.macs for layer in self.layers)

    @property
    def per_inference(self) -> Interval:
        """Joules an estimate, one pass."""
        return self.arithmetic + self.memory

    @property
    def every_step(self) -> Interval:
        """Joules an estimate, one pass every step."""
        return self.per_inference * self.passes

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "macs": self.macs,
            "by_layer": [
                {"layer": layer.layer, "macs": layer.macs, "words": layer.words.to_dict()} for layer in self.layers
            ],
            "arithmetic_J": self.arithmetic.to_dict(),
            "memory_J": self.memory.to_dict(),
            "per_inference_J": self.per_inference.to_dict(),
            "passes": self.passes,
            "every_step_J": self.every_step.to_dict(),
            "notes": list(self.notes),
            "sources": self.sources,
        }


def baseline(program: ChipProgram, table: EnergyTable | None = None) -> Baseline:
    """The conventional network of a program's geometry.

    Args:
        program: of any chip; its weights' values do not matter.
        table: figures "mac" and "bit"; those of 45 nm if not given.

    Raises:
        NeuvaError: if the table lacks a figure.
    """
    table = table or EnergyTable.load(TABLE)
    layers = tuple(_layer(layer, shape) for layer, shape in received(program))
    words = sum((layer.words for layer in layers), ZERO)
    return Baseline(
        layers=layers,
        arithmetic=sum(layer.macs for layer in layers) * table["mac"],
        memory=words * WORD_BITS * table["bit"],
        passes=program.every,
        notes=table.notes,
        sources=table.sources(),
    )


def break_even(measured: Activity, table: EnergyTable | None = None) -> str:
    """Where the spike rate stands against the published break-even with a quantised network, in one sentence."""
    limit = (table or EnergyTable.load(TABLE))["break_even_rate"].typical
    side = "below" if measured.spike_rate < limit else "not below"
    return (
        f"Mean spike rate {measured.spike_rate:.2%} a neuron and step, {side} the {limit:.1%} under which a spiking "
        f"network of 5 steps beats its quantised equivalent (arXiv:2409.08290v4); an estimate here spans "
        f"{measured.steps / measured.inferences:.3g} steps."
    )


def _layer(layer: Layer, shape: Shape) -> LayerMacs:
    macs = int(fanout(layer, shape).sum())
    rows, columns = reach(layer, shape)
    inputs = shape[0] * int(rows.any(axis=1).sum()) * int(columns.any(axis=1).sum())
    weights = layer.connection.weight
    if layer.connection.kind == "conv":  # taps that only ever meet padding are never read
        weights = weights[:, :, rows.any(axis=0)][:, :, :, columns.any(axis=0)]
    sharing = int(np.prod(layer.out_shape)) if layer.connection.kind == "dense" else layer.out_shape[0]
    fetches = macs * layer.connection.groups // sharing
    words = Interval(weights.size + inputs, weights.size + fetches, 2 * macs)
    return LayerMacs(layer.name, macs, words + Interval.exact(layer.neurons))
