"""Networks to and from NIR, the field's common graph.

Our neuron's decays are per step; NIR's constants are continuous in time. With dt in the metadata they are
each other's image under the forward Euler step: beta = 1 - dt / tau, gain r = tau / dt.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from torch import nn

from neuva import NeuvaError, atomic_path
from snn.layers import Spiking
from snn.networks import LayerSpec, NetworkSpec, ValenceArousalNet
from snn.neurons import Neuron

Nodes = dict[str, Any]
FORMAT = "neuva-network"


def to_nir(net: ValenceArousalNet) -> nir.NIRGraph:
    """The network as a NIR graph: per layer synapse, neuron and pooling; then the read-out (linear, LI, affine).

    What NIR lacks (reset, lower bound, several spikes a step) stands in the neuron nodes' metadata; dt, encoding
    and the read-out's rhythm in the graph's.

    Raises:
        NeuvaError: if a constant has no image in NIR (a CUBA neuron whose membrane never leaks).
    """
    spec = net.spec
    nodes: Nodes = {"input": nir.Input(input_type={"input": np.array(spec.input_shape)})}
    shape = spec.input_shape
    for name, layer in zip(net.names, net.layers, strict=True):
        nodes |= _layer_nodes(name, layer, shape, spec.dt_us)
        shape = _shape_after(layer, shape)
    nodes |= _readout_nodes(net, shape)
    nodes["output"] = nir.Output(output_type={"output": np.array([2])})
    names = list(nodes)
    metadata = {
        "format": FORMAT,
        "target": spec.target,
        "encoding": spec.encoding,
        "dt_us": spec.dt_us,
        "every": spec.every,
        "readout_tau_us": spec.readout_tau_us,
        "readout_logit": float(net.readout.logit.detach()),
        "biased": " ".join(  # NIR's convolution always has a bias, if only zeros
            name for name, layer in zip(net.names, net.layers, strict=True) if layer.synapse.bias is not None
        ),
    }
    return nir.NIRGraph(nodes, list(pairwise(names)), metadata=metadata)


def save_nir(net: ValenceArousalNet, path: str | Path) -> None:
    """Write the network's graph to a .nir file (temporary name, then renamed)."""
    with atomic_path(path) as temporary:
        nir.write(temporary, to_nir(net))


def load_nir(path: str | Path) -> ValenceArousalNet:
    """The network of a .nir file.

    Raises:
        NeuvaError: if the file cannot be read or holds what we cannot lower.
    """
    path = Path(path)
    if not path.exists():
        raise NeuvaError(f"{path}: no such file")
    try:
        graph = nir.read(path)
    except Exception as error:  # nir raises whatever h5py and its assertions raise
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NeuvaError(f"{path}: not a readable NIR graph ({line}): export it again") from error
    try:
        return from_nir(graph)
    except NeuvaError as error:
        raise NeuvaError(f"{path}: {error}") from error


def from_nir(graph: nir.NIRGraph) -> ValenceArousalNet:
    """Our network from a NIR graph in the form `to_nir` gives.

    Raises:
        NeuvaError: names the node, what it is and what to do.
    """
    meta = {key: _plain(value) for key, value in graph.metadata.items()}
    if meta.get("format") != FORMAT:
        raise NeuvaError("the graph has no dt, input encoding and read-out in its metadata: export it with neuva")
    chain = _in_order(graph)
    if not (len(chain) > 5 and isinstance(chain[-2][1], nir.Affine) and isinstance(chain[-3][1], nir.LI)):
        raise NeuvaError("the graph does not end in a read-out (linear, LI, affine): export it with neuva")
    missing = {"target", "encoding", "dt_us", "every", "readout_tau_us"} - set(meta)
    if missing or meta["target"] not in ("loihi", "speck", "any") or meta["encoding"] not in ("binary", "counts"):
        raise NeuvaError(f"the graph's metadata is incomplete or unknown ({meta}): export it with neuva")
    specs, weights = _read_layers(chain[1:-4], int(meta["dt_us"]), meta.get("biased", "").split())
    spec = NetworkSpec(
        target=meta["target"],
        layers=tuple(specs),
        input_shape=_three(chain[0][1].input_type["input"]),
        encoding=meta["encoding"],
        dt_us=int(meta["dt_us"]),
        every=int(meta["every"]),
        readout_tau_us=int(meta["readout_tau_us"]),
    )
    net = ValenceArousalNet(spec)
    try:
        _fill(net, weights, chain[-4:-1], meta.get("readout_logit"))
    except RuntimeError as error:
        raise NeuvaError(f"shapes do not chain: {str(error).splitlines()[0]}") from error
    return net.eval()


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
    nodes[name] = _neuron_node(name, layer.neuron, neurons, dt_us)
    if layer.pool > 1:
        pair = np.array([layer.pool, layer.pool])
        nodes[f"{name}_pool"] = nir.SumPool2d(kernel_size=pair, stride=pair, padding=np.array([0, 0]))
    return nodes


def _neuron_node(name: str, neuron: Neuron, shape: tuple[int, ...], dt_us: int) -> nir.NIRNode:
    dt = dt_us * 1e-6
    full = lambda value: np.full(shape, value, np.float64)  # noqa: E731 (a name for a long call, used six times)
    metadata: dict[str, Any] = {
        "reset": neuron.reset,
        "multi_spike": neuron.multi_spike,
        "surrogate": neuron.surrogate,
        "width": neuron.width,
    }
    if neuron.low is not None:
        metadata["low"] = neuron.low
    if neuron.alpha == 0 and neuron.beta == 1:
        return nir.IF(r=full(1), v_threshold=full(neuron.threshold), metadata=metadata)
    if neuron.beta == 1:
        raise NeuvaError(f"{name}: a current-based neuron whose membrane never leaks has no NIR form: use beta below 1")
    tau_mem = dt / (1 - neuron.beta)
    membrane = {"r": full(tau_mem / dt), "v_leak": full(0), "v_threshold": full(neuron.threshold)}
    if neuron.alpha == 0:
        return nir.LIF(tau=full(tau_mem), **membrane, metadata=metadata)
    tau_syn = dt / (1 - neuron.alpha)
    return nir.CubaLIF(
        tau_syn=full(tau_syn), tau_mem=full(tau_mem), w_in=full(tau_syn / dt), **membrane, metadata=metadata
    )


def _readout_nodes(net: ValenceArousalNet, shape: tuple[int, ...]) -> Nodes:
    nodes: Nodes = {}
    if shape[1:] != (1, 1):
        nodes["readout_flatten"] = nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
    readout, dt = net.readout, net.spec.dt_us * 1e-6
    tau = dt / (1 - float(readout.decay.detach()))
    nodes["readout_map"] = nir.Linear(readout.map.weight.detach().numpy())
    nodes["readout_trace"] = nir.LI(tau=np.full(2, tau), r=np.full(2, tau / dt), v_leak=np.zeros(2))
    nodes["readout_offset"] = nir.Affine(np.eye(2), readout.map.bias.detach().numpy())
    return nodes


def _population(layer: Spiking, shape: tuple[int, ...]) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(layer.current(torch.zeros(1, 1, *shape)).shape[2:])


def _shape_after(layer: Spiking, shape: tuple[int, ...]) -> tuple[int, int, int]:
    c, h, w = _population(layer, shape)
    return c, h // layer.pool, w // layer.pool


def _in_order(graph: nir.NIRGraph) -> list[tuple[str, Any]]:
    """The nodes from input to output, each with one predecessor and one successor."""
    after: dict[str, list[str]] = {}
    for source, sink in graph.edges:
        after.setdefault(source, []).append(sink)
    start = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if len(start) != 1:
        raise NeuvaError(f"the graph has {len(start)} inputs, needed 1")
    chain, name = [(start[0], graph.nodes[start[0]])], start[0]
    while name in after:
        if len(after[name]) != 1 or len(chain) > len(graph.nodes):
            raise NeuvaError(f"node {name} leads to {after[name]}: only a chain without branches or loops is converted")
        name = after[name][0]
        chain.append((name, graph.nodes[name]))
    return chain


def _read_layers(
    chain: list[tuple[str, Any]], dt_us: int, biased: list[str]
) -> tuple[list[LayerSpec], list[tuple[Any, Any]]]:
    specs: list[LayerSpec] = []
    weights: list[tuple[Any, Any]] = []
    synapse: Any = None
    for name, node in chain:
        if isinstance(node, nir.Flatten):
            continue  # a linear synapse flattens what it is given
        if isinstance(node, (nir.Conv2d, nir.Linear, nir.Affine)) and synapse is None:
            synapse = node
        elif isinstance(node, (nir.IF, nir.LIF, nir.CubaLIF)) and synapse is not None:
            bias = bool(np.any(getattr(synapse, "bias", 0))) or name in biased
            specs.append(_layer_spec(synapse, _read_neuron(name, node, dt_us), bias))
            weights.append((synapse.weight, getattr(synapse, "bias", None)))
            synapse = None
        elif isinstance(node, nir.SumPool2d) and specs and synapse is None:
            specs[-1] = LayerSpec(**{**vars(specs[-1]), "pool": _pool_side(name, node)})
        else:
            raise NeuvaError(
                f"node {name} is a {type(node).__name__}, which cannot stand here: a chip network is a chain of "
                "convolution or linear, neuron (IF, LIF, CubaLIF) and sum-pooling; replace or remove it"
            )
    return specs, weights


def _layer_spec(synapse: Any, neuron: Neuron, bias: bool) -> LayerSpec:
    channels = len(synapse.weight)
    if not isinstance(synapse, nir.Conv2d):
        return LayerSpec("dense", channels, neuron, bias=bias)
    pair = lambda value: tuple(int(v) for v in np.broadcast_to(value, 2))  # noqa: E731 (NIR gives int or pair)
    return LayerSpec(
        "conv",
        channels,
        neuron,
        kernel=pair(synapse.weight.shape[2:]),  # type: ignore[arg-type]
        stride=pair(synapse.stride),  # type: ignore[arg-type]
        padding=pair(synapse.padding),  # type: ignore[arg-type]
        dilation=pair(synapse.dilation),  # type: ignore[arg-type]
        groups=int(synapse.groups),
        bias=bias,
    )


def _read_neuron(name: str, node: Any, dt_us: int) -> Neuron:
    dt = dt_us * 1e-6
    meta = {key: _plain(value) for key, value in node.metadata.items()}
    one = {key: _same(name, key, getattr(node, key)) for key in _CONSTANTS[type(node)]}
    if one.get("v_leak", 0) != 0:
        raise NeuvaError(f"node {name}: rests at v_leak = {one['v_leak']}, the chips' neurons at 0: train with 0")
    tau = one.get("tau", one.get("tau_mem"))
    gain = one["r"] * one.get("w_in", 1) * (1 if tau is None else dt / tau)
    gain *= dt / one["tau_syn"] if "tau_syn" in one else 1
    if abs(gain - 1) > 1e-6:
        raise NeuvaError(f"node {name}: its input gain is {gain:.6g}, needed 1: fold it into the weights before it")
    return Neuron(
        alpha=_decay(dt, one["tau_syn"]) if "tau_syn" in one else 0.0,
        beta=1.0 if tau is None else _decay(dt, tau),
        threshold=one["v_threshold"],
        reset=meta.get("reset", "subtract"),
        low=float(meta["low"]) if "low" in meta else None,
        multi_spike=bool(meta.get("multi_spike", False)),
        surrogate=meta.get("surrogate", "arctan"),
        width=float(meta.get("width", 1.0)),
    )


_CONSTANTS = {
    nir.IF: ("r", "v_threshold"),
    nir.LIF: ("tau", "r", "v_leak", "v_threshold"),
    nir.CubaLIF: ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "w_in"),
}


def _decay(dt: float, tau: float) -> float:
    return round(1 - dt / tau, 12)  # undo the division's last-bit error, far below the chips' 12-bit grid


def _same(name: str, key: str, values: np.ndarray) -> float:
    values = np.atleast_1d(values)
    if not np.all(values == values.flat[0]):
        raise NeuvaError(f"node {name}: {key} differs between neurons; the chips hold one value a layer: make it equal")
    if not np.isfinite(values.flat[0]):
        raise NeuvaError(f"node {name}: {key} is {values.flat[0]}: train or export it again")
    return float(values.flat[0])


def _pool_side(name: str, node: Any) -> int:
    sides = {int(v) for v in (*np.atleast_1d(node.kernel_size), *np.atleast_1d(node.stride))}
    if len(sides) != 1 or np.any(node.padding):
        raise NeuvaError(f"node {name}: pooling window, stride and padding must be k, k and 0")
    return sides.pop()


def _fill(
    net: ValenceArousalNet, weights: list[tuple[Any, Any]], readout: list[tuple[str, Any]], logit: float | None
) -> None:
    with torch.no_grad():
        for layer, (weight, bias) in zip(net.layers, weights, strict=True):
            if not np.all(np.isfinite(weight)):
                raise NeuvaError("a weight is not a finite number: train or export the network again")
            layer.synapse.weight.copy_(torch.as_tensor(weight))
            if layer.synapse.bias is not None:
                layer.synapse.bias.copy_(torch.as_tensor(bias))
        mapped, trace, offset = (node for _, node in readout)
        net.readout.map.weight.copy_(torch.as_tensor(mapped.weight))
        net.readout.map.bias.copy_(torch.as_tensor(offset.bias))
        decay = torch.tensor(1 - net.spec.dt_us * 1e-6 / float(trace.tau[0]), dtype=torch.float64)
        # the logit as it was, where it is kept: from tau it comes back with rounding errors
        net.readout.logit.copy_(torch.logit(decay) if logit is None else torch.tensor(logit))


def _three(shape: Any) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise NeuvaError(f"the graph's input has shape {tuple(shape)}, needed (channels, height, width)")
    return int(shape[0]), int(shape[1]), int(shape[2])


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic | np.ndarray) else value
    return value.decode() if isinstance(value, bytes) else value
