"""Every kind of network that is trained here, from its specification."""

from __future__ import annotations

from typing import Any

from neuva import NeuvaError
from snn.baselines import ConvGruNet, ConvGruSpec
from snn.networks import NetworkSpec, ValenceArousalNet

AffectSpec = NetworkSpec | ConvGruSpec
AffectNet = ValenceArousalNet | ConvGruNet


def spec_from_dict(values: dict[str, Any]) -> AffectSpec:
    """The specification that `to_dict` gave; one without a kind is spiking, as all were once.

    Raises:
        NeuvaError: if it is of no known kind, or a key is missing or unknown.
    """
    kind = values.get("kind", "spiking")
    if kind == "spiking":
        return NetworkSpec.from_dict(values)
    if kind == "conv_gru":
        return ConvGruSpec.from_dict(values)
    raise NeuvaError(f'network of kind "{kind}" is not known: allowed are spiking and conv_gru')


def build_network(spec: AffectSpec) -> AffectNet:
    """A network of random weights."""
    return ValenceArousalNet(spec) if isinstance(spec, NetworkSpec) else ConvGruNet(spec)


def require_spiking(net: AffectNet) -> ValenceArousalNet:
    """The network, if a chip can run it at all.

    Raises:
        NeuvaError: if it does not spike.
    """
    if not isinstance(net, ValenceArousalNet):
        raise NeuvaError(
            f"a network of kind {net.spec.kind} does not spike, and chips run spiking ones alone: "
            "it is a yardstick; train one of kind spiking"
        )
    return net
