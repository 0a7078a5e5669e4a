"""Takes a network trained for one chip to the other: the other's neurons, the same synapses, each layer as active."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from neuva import NeuvaError
from snn.building import AffectNet
from snn.networks import NetworkSpec, Recording, ValenceArousalNet
from snn.neurons import Neuron
from snn.training import load_network

LEAST_RATE = 0.005
"""Spikes a neuron and step that a layer is given at least: a silent one learns nothing."""
ROUNDS = 16


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
        NeuvaError: if the checkpoint cannot be read, or its layers have other shapes.
    """
    source = load_network(checkpoint)
    if source.spec == net.spec:
        net.load_state_dict(source.state_dict())
        return
    if not (isinstance(net, ValenceArousalNet) and isinstance(source, ValenceArousalNet)):
        raise NeuvaError(
            f"{checkpoint}: a network of kind {source.spec.kind} cannot start one of kind {net.spec.kind}: "
            "name a checkpoint of the same kind, or train afresh"
        )
    _take(net, source, checkpoint)
    match_rates(net, x, _rates(source.to(x.device), x))


@torch.no_grad()
def match_rates(net: ValenceArousalNet, x: torch.Tensor, rates: dict[str, float]) -> None:
    """Scale each layer's weights and bias in place until it fires at its rate (spikes a neuron and step) on x.

    Bisection over the factor, layer by layer, each given the ones before.
    """
    for name, layer in zip(net.names, net.layers, strict=True):
        current, wanted = layer.current(x), max(rates[name], LEAST_RATE)
        low, high, factor = 0.0, float("inf"), 1.0
        for _ in range(ROUNDS):
            quiet = float(layer.fire(current * factor)[0].mean()) < wanted
            low, high = (factor, high) if quiet else (low, factor)
            factor = factor * 2 if high == float("inf") else (low + high) / 2
        for parameter in layer.synapse.parameters():
            parameter.mul_(factor)
        x = layer.send(layer.fire(current * factor)[0])


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
    per_step = source.readout.decay ** (net.spec.dt_us / source.spec.dt_us)
    net.readout.logit.copy_(torch.logit(per_step))


@torch.no_grad()
def _rates(net: ValenceArousalNet, x: torch.Tensor) -> dict[str, float]:
    recording = Recording()
    net(x.clamp(max=1) if net.spec.encoding == "binary" else x, recording)
    return {name: float(spikes.mean()) for name, spikes in recording.spikes.items()}
