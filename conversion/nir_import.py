"""Networks from NIR: our own as they were, and those of other frameworks with what their graphs leave unsaid."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import nir
import numpy as np
import torch

from conversion.nir_graph import in_order, read_graph
from conversion.nir_layers import Map, Population, Reader
from conversion.nir_neuron import STEPS, Said, plain
from neuva import NeuvaError
from snn.networks import AFFECT, NetworkSpec, ValenceArousalNet

FORMAT = "neuva-network"


@dataclass(frozen=True)
class Reading:
    """What a graph of another framework does not say of itself.

    dt_us: how long a step of the network lasts, in microseconds. encoding: what a step of its input holds.
    graph_step: the same step in the graph's own unit of time, which exporters choose freely (s by NIR's definition);
        None where no node has a time constant.
    reset: of the neurons; None: as the graph says (`nir_neuron.Said`).
    low: the membranes' lower bound, in the unit of the thresholds; None: none. multi_spike: several spikes a step.
    """

    dt_us: int
    encoding: Literal["binary", "counts"]
    graph_step: float | None = None
    reset: Literal["zero", "subtract"] | None = None
    low: float | None = None
    multi_spike: bool = False

    def __post_init__(self) -> None:
        if self.dt_us < 1 or self.encoding not in ("binary", "counts") or self.reset not in (None, "zero", "subtract"):
            raise NeuvaError(
                f"dt {self.dt_us} us, encoding {self.encoding}, reset {self.reset}: needed are a step of 1 us or more, "
                "binary or counts, zero or subtract"
            )
        if self.graph_step is not None and not 0 < self.graph_step < np.inf:
            raise NeuvaError(f"a graph step of {self.graph_step}: needed above 0 ({STEPS})")
        if self.low is not None and not -np.inf < self.low <= 0:
            raise NeuvaError(f"a lower bound of {self.low}: needed 0 or below, as neurons start at 0")

    @property
    def said(self) -> Said:
        """Of the neurons."""
        return Said(self.graph_step, self.reset, self.low, self.multi_spike)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def load_nir(path: str | Path, reading: Reading | None = None) -> ValenceArousalNet:
    """The network of a .nir file.

    Raises:
        NeuvaError: if the file cannot be read or holds what we cannot lower.
    """
    graph = read_graph(path)
    try:
        return from_nir(graph, reading)
    except NeuvaError as error:
        raise NeuvaError(f"{path}: {error}") from error


def from_nir(graph: nir.NIRGraph, reading: Reading | None = None) -> ValenceArousalNet:
    """The network of a NIR graph.

    Gains, scales, unequal thresholds, rests and averages are folded into weights and biases, exactly. A last linear
    map, with or without leaky integrator, becomes the read-out, whose outputs are called "0", "1", ...

    Args:
        graph: as `nir_export.to_nir` or another framework's exporter gives it.
        reading: what another framework's graph leaves unsaid; of no use for our own.

    Raises:
        NeuvaError: names the node, what it is and what to do.
    """
    steps = in_order(graph)
    meta = {key: plain(value) for key, value in graph.metadata.items()}
    own = meta.get("format") == FORMAT
    if own:
        if reading is not None:
            raise NeuvaError(
                "the graph is neuva's own and says its step and encoding itself: leave --dt-us and the like out"
            )
        reading = _own_reading(meta)
    if reading is None:
        raise NeuvaError(
            "the graph is of another framework and does not say how long a step lasts and what its input holds: give "
            f"neuva convert --dt-us and --encoding, and where neurons leak --graph-step ({STEPS})"
        )
    shape, batch = _input_shape(steps[0].node)
    reader = Reader(reading.said, batch)
    layers, mapped = reader.read(steps, shape)
    biased = meta.get("biased", "").split()
    spec = NetworkSpec(
        target=meta["target"] if own else "any",
        layers=reader.specs([_name(index, layer) for index, layer in enumerate(layers)], biased),
        input_shape=shape,
        encoding=reading.encoding,
        dt_us=reading.dt_us,
        every=int(meta["every"]) if own else 1,
        readout_tau_us=int(meta["readout_tau_us"]) if own else NetworkSpec.readout_tau_us,
        outputs=_outputs(meta, mapped, own),
    )
    net = ValenceArousalNet(spec)
    _fill(net, layers, mapped, meta.get("readout_logit"))
    return net.eval()


def _own_reading(meta: dict[str, Any]) -> Reading:
    missing = {"target", "encoding", "dt_us", "every", "readout_tau_us"} - set(meta)
    if missing or meta["target"] not in ("loihi", "speck", "any") or meta["encoding"] not in ("binary", "counts"):
        raise NeuvaError(f"the graph's metadata is incomplete or unknown ({meta}): export it with neuva")
    return Reading(int(meta["dt_us"]), meta["encoding"], int(meta["dt_us"]) * 1e-6)


def _input_shape(node: nir.Input) -> tuple[tuple[int, int, int], int]:
    """(C, H, W), and how many leading axes of 1 were left out; (N,) is (N, 1, 1)."""
    given = node.input_type.get("input") if node.input_type else None
    shape = tuple(int(side) for side in np.ravel([] if given is None else given))
    batch = max(len(shape) - 3, 0) if len(shape) != 2 else 1
    rest = shape[batch:]
    if len(rest) not in (1, 3) or min(rest) < 1 or any(side != 1 for side in shape[:batch]):
        raise NeuvaError(
            f"the graph's input has shape {shape}, needed (channels, height, width) or (inputs,): "
            "export it with a sample of one item"
        )
    return (rest[0], 1, 1) if len(rest) == 1 else (rest[0], rest[1], rest[2]), batch


def _outputs(meta: dict[str, Any], mapped: Map | None, own: bool) -> tuple[str, ...] | None:
    if mapped is None:
        return None
    names = tuple(meta["outputs"].split()) if "outputs" in meta else AFFECT
    return names if own and len(names) == len(mapped.weight) else tuple(str(k) for k in range(len(mapped.weight)))


def _name(index: int, layer: Population) -> str:
    return f"{'dense' if layer.synapse.dense else 'conv'}{index + 1}"


@torch.no_grad()
def _fill(net: ValenceArousalNet, layers: list[Population], mapped: Map | None, logit: float | None) -> None:
    for ours, layer in zip(net.layers, layers, strict=True):
        ours.synapse.weight.copy_(_floats(layer.synapse.name, layer.synapse.weight))
        if ours.synapse.bias is not None:
            ours.synapse.bias.copy_(_floats(layer.synapse.name, layer.synapse.bias))
    if net.readout is None or mapped is None:
        return
    net.readout.map.weight.copy_(_floats("of the read-out", mapped.weight))
    net.readout.map.bias.copy_(_floats("of the read-out", mapped.offset))
    # the logit as it was, where it is kept: from tau it comes back with rounding errors
    kept = torch.logit(torch.tensor(mapped.decay, dtype=torch.float64)) if logit is None else torch.tensor(logit)
    net.readout.logit.copy_(kept)


def _floats(name: str, values: np.ndarray) -> torch.Tensor:
    if np.abs(values).max(initial=0) > np.finfo(np.float32).max:
        raise NeuvaError(f"node {name}: weights with their gains are beyond what a float holds: train it again")
    return torch.as_tensor(values)
