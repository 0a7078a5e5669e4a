"""What the emulators and sinabs share on the way from a layer's spikes to the next layer and to the trace."""

from __future__ import annotations

from typing import Any

import numpy as np

from hardware.program import ChipProgram, Shape
from hardware.trace import CoreCounts, Spikes, Trace, apply_readout


def finished(
    program: ChipProgram,
    backend: str,
    duration_us: int,
    sent: Spikes,
    spikes: dict[str, Spikes],
    counts: tuple[CoreCounts, ...],
    v: dict[str, np.ndarray],
    notes: dict[str, Any],
) -> Trace:
    """A run's trace; `sent` is what the last layer sends, read out in steps of dt."""
    steps = -(-duration_us // program.dt_us)
    rows = sent.dense(steps, program.dt_us).reshape(steps, int(np.prod(sent.shape)))
    times, va = apply_readout(program.readout, rows, program.dt_us)
    return Trace(program.target, backend, program.dt_us, duration_us, times, va, spikes, counts, v=v, notes=notes)


def core_of(program: ChipProgram, name: str) -> int:
    """The core a layer is placed on, -1 if it is not placed."""
    return next((part.core for part in program.placement if part.layer == name), -1)


def pooled(spikes: Spikes, pool: int) -> Spikes:
    """Sum-pooling: spikes of a window at the same time become one entry with their sum."""
    if pool == 1:
        return spikes
    c, h, w = spikes.shape
    shape = (c, h // pool, w // pool)
    channel, y, x = np.unravel_index(spikes.neuron, spikes.shape)
    inside = (y // pool < shape[1]) & (x // pool < shape[2])
    channel, y, x = channel[inside], y[inside] // pool, x[inside] // pool
    neuron = (channel * shape[1] + y) * shape[2] + x
    return gathered(shape, spikes.t[inside], neuron, spikes.count[inside])


def merged(parts: list[Spikes]) -> Spikes:
    """What a core hears of several senders of one shape: their counts added up."""
    if len(parts) == 1:
        return parts[0]
    t, neuron, count = (np.concatenate([getattr(part, key) for part in parts]) for key in ("t", "neuron", "count"))
    return gathered(parts[0].shape, t, neuron, count)


def gathered(shape: Shape, t: np.ndarray, neuron: np.ndarray, count: np.ndarray) -> Spikes:
    """Spikes sorted by time and neuron, with the counts of equal ones added up."""
    order = np.lexsort((neuron, t))
    t, neuron, count = t[order], neuron[order], count[order]
    first = np.flatnonzero(np.r_[True, (np.diff(t) != 0) | (np.diff(neuron) != 0)]) if len(t) else np.zeros(0, int)
    total = np.add.reduceat(count, first) if len(t) else count
    return Spikes(shape, t[first].astype(np.int64), neuron[first].astype(np.int32), total.astype(np.int32))
