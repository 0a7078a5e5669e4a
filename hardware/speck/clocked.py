"""Clocked integer emulator of Speck: spike for spike what sinabs' DynapcnnNetwork simulates.

What that simulation does (sinabs 3.1.3), layer after layer, in the same step and without delay:

1. the convolution of the step's spike counts, plus the bias in every step, is added to v;
2. `MultiSpike`, which IAFSqueeze has unless told otherwise and which alone is used here: v // threshold spikes where
   v > 0 (truncated, so never a negative count), as stand-in for the many spikes an unclocked neuron sends in a step;
3. `MembraneSubtract` takes that many thresholds off v; `MembraneReset` sets v to 0 where there was a spike;
4. v = max(v, min_v_mem), after the reset and once a step, whatever the order of the spikes within it;
5. the sum of the spikes over windows of pool x pool goes on; rows and columns beyond the last whole window are lost;
6. a layer with several sources receives the sum of their counts.

With `reset_every`, all states are set to zero before the steps it divides.

Neither there nor here is v cut to the chip's 16 bits: the chip spikes while a step's events arrive and never holds
the step's sum. Where the sum would not fit it is counted, for the clocked picture says little about the chip there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hardware.program import ChipProgram
from hardware.speck.input import checked_counts
from hardware.speck.kernels import run_clocked
from hardware.speck.results import core_of, finished, gathered, merged, pooled
from hardware.speck.synapses import Synapses, synapses
from hardware.trace import CoreCounts, Spikes, Trace
from neuva import NeuvaError

_COUNTABLE = 1 << 31  # a step's sum is kept in 32 bits


def run(program: ChipProgram, input_spikes: np.ndarray, *, record_state: bool = False, strict: bool = False) -> Trace:
    """Run a clip from zero state.

    Args:
        program: for a chip of the Speck family.
        input_spikes: integers [T, C, H, W], spike counts per step.
        record_state: keep v after each step, int32 [T, C, H, W] per layer.
        strict: a step's sum beyond 16 bits is an error instead of a count in `notes["saturations"]`.

    Returns:
        Trace with backend "emulator". A spike's synaptic operations are all synapses it reaches inside the map,
        zero weights included (the chip reads those too); neuron updates are neurons times steps.

    Raises:
        NeuvaError: if program and input do not suit each other or a Speck chip; with `strict`, at an overflow.
    """
    dt_us, counts = program.dt_us, checked_counts(program, input_spikes)
    sent = {"input": Spikes.from_dense(counts, dt_us)}
    spikes, v, cores = dict(sent), {}, []
    notes: dict[str, Any] = {}
    for layer in synapses(program):
        heard = merged([sent[name] for name in layer.sources])
        own, states, synops, overflows = _run_layer(layer, heard, program, len(counts), record_state)
        if overflows and strict:
            raise NeuvaError(
                f"layer {layer.name}: {overflows} sums left the chip's 16 bits, allowed 0: "
                "scale its weights and threshold down or shorten dt"
            )
        if overflows:
            notes.setdefault("saturations", {})[layer.name] = overflows
        if record_state:
            v[layer.name] = states
        spikes[layer.name] = own
        cores.append(
            CoreCounts(core_of(program, layer.name), layer.name, synops, layer.layer.neurons * len(counts), own.total)
        )
        sent[layer.name] = pooled(own, layer.layer.pool)
    last = sent[program.layers[-1].name]
    return finished(program, "emulator", len(counts) * dt_us, last, spikes, tuple(cores), v, notes)


def _run_layer(
    layer: Synapses, heard: Spikes, program: ChipProgram, steps: int, record_state: bool
) -> tuple[Spikes, np.ndarray, int, int]:
    """Own spikes, v [T, F, H, W] (of length 0 if not recorded), synaptic operations, overflows."""
    f, h, w = layer.layer.out_shape
    most = layer.largest_sum(int(heard.count.max(initial=0)))
    if most >= _COUNTABLE:
        raise NeuvaError(f"layer {layer.name}: a step's sum may reach {most}, emulated below {_COUNTABLE}: shorten dt")
    place = np.unravel_index(heard.neuron, layer.in_shape)
    start = np.searchsorted(heard.t, np.arange(steps + 1) * program.dt_us)
    record = np.empty((steps if record_state else 0, h * w, f), np.int32)
    fired, synops, overflows = run_clocked(
        start,
        np.stack([*place, heard.count], axis=1).astype(np.int64),
        layer.weight,
        (h, w, *layer.stride, *layer.padding),
        layer.bias,
        (layer.neuron.threshold, layer.neuron.low, layer.neuron.reset == "zero"),
        program.reset_every,
        record,
    )
    own = gathered(layer.layer.out_shape, fired[:, 0] * program.dt_us, fired[:, 1], fired[:, 2])
    states = record.transpose(0, 2, 1).reshape(len(record), f, h, w)
    return own, states, int(synops), int(overflows)
