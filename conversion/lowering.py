"""What both chips' lowerings share: shapes, read-out, provenance and the program around the layers."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from torch import nn

from conversion.calibration import Calibration
from hardware.program import Connection, InputEncoding, Readout, Shape
from neuva import NeuvaError, __version__
from snn.layers import Spiking
from snn.networks import ValenceArousalNet


def population_shapes(net: ValenceArousalNet) -> list[tuple[Shape, Shape]]:
    """(in_shape, out_shape) of each layer, before pooling."""
    shapes, sent = [], {"input": torch.zeros(1, 1, *net.spec.input_shape)}
    with torch.no_grad():
        for index, (name, layer) in enumerate(zip(net.names, net.layers, strict=True)):
            heard = net.heard(index, sent)
            current = layer.current(heard)
            shapes.append((_shape(heard), _shape(current)))
            sent[name] = layer.send(current)
    return shapes


def float_weight(layer: Spiking) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias [C_out] (zero where there is none) in float64."""
    weight = layer.synapse.weight.detach().numpy().astype(np.float64)
    bias = np.zeros(len(weight)) if layer.synapse.bias is None else layer.synapse.bias.detach().numpy()
    return weight, bias.astype(np.float64)


def connection(layer: Spiking, weight: np.ndarray, weight_exp: int = 0) -> Connection:
    """The layer's geometry with integer weights."""
    synapse = layer.synapse
    if isinstance(synapse, nn.Linear):
        return Connection("dense", weight, weight_exp=weight_exp)
    pairs: dict[str, Any] = {key: tuple(getattr(synapse, key)) for key in ("stride", "padding", "dilation")}
    return Connection("conv", weight, groups=synapse.groups, weight_exp=weight_exp, **pairs)


def input_encoding(net: ValenceArousalNet) -> InputEncoding:
    """The input's shape and encoding."""
    return InputEncoding(net.spec.input_shape, net.spec.encoding)


def readout(net: ValenceArousalNet) -> Readout | None:
    """The host's map, as trained; None where the last layer's spikes are the result."""
    if net.readout is None or net.spec.outputs is None:
        return None
    return Readout(
        weight=net.readout.map.weight.detach().numpy().copy(),
        offset=net.readout.map.bias.detach().numpy().copy(),
        decay=float(net.readout.decay.detach()),
        every=net.spec.every,
        names=net.spec.outputs,
    )


def network_hash(net: ValenceArousalNet) -> str:
    """SHA-256 over the specification and all weights."""
    digest = hashlib.sha256(repr(net.spec).encode())
    if any(layer.sources for layer in net.spec.layers):
        digest.update(repr(net.spec.sources).encode())
    for name, value in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def provenance(net: ValenceArousalNet, x: torch.Tensor, calibration: Calibration) -> dict[str, Any]:
    """Hashes of network and calibration data, versions, and what calibration chose."""
    return {
        "network_sha256": network_hash(net),
        "calibration_sha256": hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest(),
        "calibration_scales": list(calibration.scales),
        "calibration_errors": list(calibration.errors),
        "calibration_clipped": [list(each) for each in calibration.clipped],
        "versions": versions("neuva", "torch", "numpy", "nir"),
    }


def require_family(net: ValenceArousalNet, family: str) -> None:
    """Refuse a network that was trained for the other chip's neuron.

    Raises:
        NeuvaError: says which target the network has.
    """
    if net.spec.target not in (family, "any"):
        raise NeuvaError(
            f"the network was trained for {net.spec.target}, whose neuron {family} does not have: "
            f"train one with a configuration for {family}"
        )


def _shape(x: torch.Tensor) -> Shape:
    c, h, w = x.shape[2:]
    return int(c), int(h), int(w)


def versions(*names: str) -> dict[str, str]:
    """Versions of these installed packages; neuva's own from its code."""
    return {name: __version__ if name == "neuva" else _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
