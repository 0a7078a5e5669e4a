"""Networks to NIR, the field's common graph."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from torch import nn

from conversion.nir_import import FORMAT
from conversion.nir_neuron import to_node
from neuva import atomic_path
from snn.layers import Spiking, TraceReadout
from snn.networks import ValenceArousalNet

Nodes = dict[str, Any]


def to_nir(net: ValenceArousalNet) -> nir.NIRGraph:
    """The network as a NIR graph: per layer synapse, neuron and pooling; then the read-out (linear, LI, affine).

    Where a layer hears several, an edge of each leads to its first node, which is how NIR adds.

    What NIR lacks (reset, lower bound, several spikes a step) stands in the neuron nodes' metadata; dt, encoding
    and the read-out's rhythm in the graph's.

    Raises:
        NeuvaError: if a constant has no image in NIR (a CUBA neuron whose membrane never leaks).
    """
    spec = net.spec
    nodes: Nodes = {"input": nir.Input(input_type={"input": np.array(spec.input_shape)})}
    edges: list[tuple[str, str]] = []
    shape, shapes, ends = spec.input_shape, {"input": spec.input_shape}, {"input": "input"}
    for name, layer, sources in zip(net.names, net.layers, spec.sources, strict=True):
        own = _layer_nodes(name, layer, shapes[sources[0]], spec.dt_us)
        first, *_, ends[name] = own
        edges += [*((ends[source], first) for source in sources), *pairwise(own)]
        nodes |= own
        shapes[name] = shape = _shape_after(layer, shapes[sources[0]])
    tail: Nodes = {}
    metadata = {
        "format": FORMAT,
        "target": spec.target,
        "encoding": spec.encoding,
        "dt_us": spec.dt_us,
        "every": spec.every,
        "readout_tau_us": spec.readout_tau_us,
        "biased": " ".join(  # NIR's convolution always has a bias, if only zeros
            name for name, layer in zip(net.names, net.layers, strict=True) if layer.synapse.bias is not None
        ),
    }
    if spec.outputs is not None and net.readout is not None:
        tail |= _readout_nodes(net.readout, len(spec.outputs), shape, spec.dt_us)
        metadata |= {"readout_logit": float(net.readout.logit.detach()), "outputs": " ".join(spec.outputs)}
    tail["output"] = nir.Output(output_type={"output": np.array([len(spec.outputs)] if spec.outputs else shape)})
    return nir.NIRGraph(nodes | tail, edges + list(pairwise([ends[net.names[-1]], *tail])), metadata=metadata)


def save_nir(net: ValenceArousalNet, path: str | Path) -> None:
    """Write the network's graph to a .nir file (temporary name, then renamed)."""
    with atomic_path(path) as temporary:
        nir.write(temporary, to_nir(net))


def _layer_nodes(name: str, layer: Spiking, shape: tuple[int, ...], dt_us: int) -> Nodes:
    nodes: Nodes = {}
    synapse = layer.synapse
    weight = synapse.weight.detach().numpy()
    bias = None if synapse.bias is None else synapse.bias.detach().numpy()
    if isinstance(synapse, nn.Linear):
        if shape[1:] != (1, 1):
            nodes[f"{name}_flatten"] = nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
        nodes[f"{name}_synapse"] = nir.Linear(weight) if bias is None else nir.Affine(weight, bias)
        neurons: tuple[int, ...] = (synapse.out_features,)
    else:
        nodes[f"{name}_synapse"] = nir.Conv2d(
            input_shape=tuple(shape[1:]),
            weight=weight,
            stride=synapse.stride,
            padding=synapse.padding,
            dilation=synapse.dilation,
            groups=synapse.groups,
            bias=np.zeros(len(weight), weight.dtype) if bias is None else bias,
        )
        neurons = _population(layer, shape)
    nodes[name] = to_node(name, layer.neuron, neurons, dt_us)
    if layer.pool > 1:
        pair = np.array([layer.pool, layer.pool])
        nodes[f"{name}_pool"] = nir.SumPool2d(kernel_size=pair, stride=pair, padding=np.array([0, 0]))
    return nodes


def _readout_nodes(readout: TraceReadout, outputs: int, shape: tuple[int, ...], dt_us: int) -> Nodes:
    nodes: Nodes = {}
    if shape[1:] != (1, 1):
        nodes["readout_flatten"] = nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
    dt = dt_us * 1e-6
    tau = dt / (1 - float(readout.decay.detach()))
    nodes["readout_map"] = nir.Linear(readout.map.weight.detach().numpy())
    nodes["readout_trace"] = nir.LI(tau=np.full(outputs, tau), r=np.full(outputs, tau / dt), v_leak=np.zeros(outputs))
    nodes["readout_offset"] = nir.Affine(np.eye(outputs), readout.map.bias.detach().numpy())
    return nodes


def _population(layer: Spiking, shape: tuple[int, ...]) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(layer.current(torch.zeros(1, 1, *shape)).shape[2:])


def _shape_after(layer: Spiking, shape: tuple[int, ...]) -> tuple[int, int, int]:
    c, h, w = _population(layer, shape)
    return c, h // layer.pool, w // layer.pool
