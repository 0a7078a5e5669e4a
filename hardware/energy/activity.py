"""NeuroBench's complexity figures of runs: sparsities, effective operations, footprint.

Definitions: NeuroBench (Nature Communications, 2025), algorithm track. Workload figures are of the program's integer
network on the chip's steps; its read-out on the host is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hardware.energy.fanout import arrivals, fanout, received, steps_of
from hardware.energy.model import check_trace
from hardware.program import ChipProgram, Layer
from hardware.trace import Spikes, Trace
from neuva import NeuvaError

WEIGHT_BYTES, BIAS_BYTES = 1, 2
STATE_BYTES = {"loihi": 6, "speck": 2}  # u and v of 24 bits; v of 16 bits


@dataclass(frozen=True)
class LayerActivity:
    """One layer.

    activation_sparsity: share of (neuron, step) without a spike. spike_rate: spikes a neuron and step.
    effective_acs, effective_macs: synaptic operations an estimate on weights that are not zero; accumulates where the
    input is binary (or comes event by event), multiply-accumulates where spikes carry payloads.
    """

    layer: str
    neurons: int
    activation_sparsity: float
    spike_rate: float
    effective_acs: float
    effective_macs: float


@dataclass(frozen=True)
class Activity:
    """All layers; the totals weigh each neuron and step alike.

    connection_sparsity: share of weights that are zero, each weight of a kernel once.
    footprint_bytes: 8-bit weights, 16-bit biases and the neurons' state.
    """

    layers: tuple[LayerActivity, ...]
    steps: int
    inferences: int
    activation_sparsity: float
    spike_rate: float
    connection_sparsity: float
    footprint_bytes: int

    @property
    def effective_acs(self) -> float:
        """Accumulates an estimate."""
        return sum(layer.effective_acs for layer in self.layers)

    @property
    def effective_macs(self) -> float:
        """Multiply-accumulates an estimate."""
        return sum(layer.effective_macs for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"effective_acs": self.effective_acs, "effective_macs": self.effective_macs}


def activity(traces: Trace | Iterable[Trace], program: ChipProgram) -> Activity:
    """NeuroBench's figures of a program's runs.

    Raises:
        NeuvaError: if a trace has no counts, lacks spikes or is of another program, or there is no estimate.
    """
    runs = [traces] if isinstance(traces, Trace) else list(traces)
    for trace in runs:
        check_trace(trace, program)
    inferences, steps = sum(len(trace.times) for trace in runs), sum(map(steps_of, runs))
    if not inferences:
        raise NeuvaError(f"{steps} steps in {len(runs)} runs give no estimate: run the program on longer clips")
    operations = [
        sum(int((arrivals(trace, program, index) * fanout(layer, shape, nonzero=True)).sum()) for trace in runs)
        for index, (layer, shape) in enumerate(received(program))
    ]
    active = [sum(_active(_own(trace, layer), trace.dt_us) for trace in runs) for layer in program.layers]
    spikes = [sum(_own(trace, layer).total for trace in runs) for layer in program.layers]
    places = [layer.neurons * steps for layer in program.layers]
    payloads = program.family == "loihi" and program.input.kind == "counts"
    return Activity(
        layers=tuple(
            LayerActivity(
                layer=layer.name,
                neurons=layer.neurons,
                activation_sparsity=1 - active[index] / places[index],
                spike_rate=spikes[index] / places[index],
                effective_acs=0.0 if payloads and index == 0 else operations[index] / inferences,
                effective_macs=operations[index] / inferences if payloads and index == 0 else 0.0,
            )
            for index, layer in enumerate(program.layers)
        ),
        steps=steps,
        inferences=inferences,
        activation_sparsity=1 - sum(active) / sum(places),
        spike_rate=sum(spikes) / sum(places),
        connection_sparsity=_connection_sparsity(program),
        footprint_bytes=sum(_footprint(layer, STATE_BYTES[program.family]) for layer in program.layers),
    )


def _own(trace: Trace, layer: Layer) -> Spikes:
    spikes = trace.spikes.get(layer.name)
    if spikes is None or spikes.shape != layer.out_shape:
        raise NeuvaError(f"the trace has no spikes of layer {layer.name} {layer.out_shape}: run this program again")
    return spikes


def _active(spikes: Spikes, dt_us: int) -> int:
    """Distinct (neuron, step) with a spike."""
    keys = spikes.t // dt_us * int(np.prod(spikes.shape)) + spikes.neuron
    return len(np.unique(keys))


def _connection_sparsity(program: ChipProgram) -> float:
    weights = [layer.connection.weight for layer in program.layers]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.size for weight in weights)


def _footprint(layer: Layer, state_bytes: int) -> int:
    bias = layer.neuron.bias.size
    return layer.connection.weight.size * WEIGHT_BYTES + bias * BIAS_BYTES + layer.neurons * state_bytes
