"""Takes a network trained for one chip to the other: the other's neurons, the same synapses, each layer as active."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from neuva import NeuvaError
from snn.building import AffectNet, AffectSpec
from snn.networks import NetworkSpec, Recording, ValenceArousalNet, scale_to_rate
from snn.neurons import Neuron
from snn.training import load_network

LEAST_RATE = 0.005
"""Spikes a neuron and step that a layer is given at least: a silent one learns nothing."""


def retarget(spec: NetworkSpec, target: Literal["loihi", "speck"]) -> NetworkSpec:
    """The same network for the other chip family: its input encoding, and the neuron nearest to what there was.

    Loihi has one spike a step, reset to zero and no lower bound; its neuron leaks as before, or not at all if it comes
    from Speck. Speck has no leak and no synaptic current; it gets the lower bound -threshold that its states need.
    """
    if spec.target == target:
        return spec
    layers = tuple(
        replace(layer, neuron=_neuron(layer.neuron, target), learn=layer.learn if target == "loihi" else ())
        for layer in spec.layers
    )
    return replace(spec, target=target, layers=layers, encoding="counts" if target == "speck" else "binary")


def start_from(net: AffectNet, checkpoint: str | Path, x: torch.Tensor) -> None:
    """Begin a training with the weights of another, in place; the other may be of another chip family or step.

    Where specifications are equal all weights are taken as they are. Else each layer takes weights, bias and the
    decays that both learn, and is scaled until it fires on x at the rate that the same layer of the other fires at;
    the read-out takes its map, and its decay over the time of one step.

    Args:
        net: a network to be trained.
        checkpoint: of the network to begin from.
        x: a batch of the new training's input [T, B, C, H, W].

    Raises:
        NeuvaError: if the checkpoint cannot be read, its layers have other shapes, or a layer does not reach its rate.
    """
    source = load_network(checkpoint)
    if source.spec == net.spec:
        net.load_state_dict(source.state_dict())
        return
    if not (isinstance(net, ValenceArousalNet) and isinstance(source, ValenceArousalNet)):
        raise NeuvaError(f"{checkpoint}: {_why_not(source.spec, net.spec)}")
    _take(net, source, checkpoint)
    scale_to_rate(net, x, _rates(source.to(x.device), x))


def _why_not(theirs: AffectSpec, ours: AffectSpec) -> str:
    if theirs.kind != ours.kind:
        return (
            f"a network of kind {theirs.kind} cannot start one of kind {ours.kind}: "
            "name a checkpoint of the same kind, or train afresh"
        )
    given, wanted = theirs.to_dict(), ours.to_dict()
    differing = [key for key in given if given[key] != wanted[key]]
    other = ", ".join(f"{key} is {given[key]} there and {wanted[key]} here" for key in differing)
    return f"a network of kind {ours.kind} starts only from its equal; {other}: give both the same, or train afresh"


def _neuron(neuron: Neuron, target: str) -> Neuron:
    if target == "loihi":
        return replace(neuron, reset="zero", low=None, multi_spike=False)
    low = -neuron.threshold if neuron.low is None else neuron.low
    return replace(neuron, alpha=0.0, beta=1.0, low=low, multi_spike=True)


@torch.no_grad()
def _take(net: ValenceArousalNet, source: ValenceArousalNet, checkpoint: str | Path) -> None:
    ours, theirs = net.state_dict(), source.state_dict()
    for name, tensor in ours.items():
        given = theirs.get(name)
        if given is None and ".logits." in name:
            continue
        if given is None or given.shape != tensor.shape:
            has = "none" if given is None else tuple(given.shape)
            raise NeuvaError(
                f"{checkpoint}: {name} is {tuple(tensor.shape)} in the network to be trained and {has} there: "
                "give both the same layers"
            )
        tensor.copy_(given)
    if net.readout is not None and source.readout is not None:
        per_step = source.readout.decay ** (net.spec.dt_us / source.spec.dt_us)
        net.readout.logit.copy_(torch.logit(per_step))


@torch.no_grad()
def _rates(net: ValenceArousalNet, x: torch.Tensor) -> dict[str, float]:
    recording = Recording()
    net(x.clamp(max=1) if net.spec.encoding == "binary" else x, recording)
    return {name: max(float(spikes.mean()), LEAST_RATE) for name, spikes in recording.spikes.items()}
