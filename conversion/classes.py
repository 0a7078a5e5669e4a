"""Spreads a network's classes over the features that the read-out layer on a Speck listens to."""

from __future__ import annotations

from dataclasses import replace

import torch

from hardware.speck.chip import load
from neuva import NeuvaError
from snn.networks import ValenceArousalNet


@torch.no_grad()
def spread_classes(net: ValenceArousalNet, target: str) -> ValenceArousalNet:
    """The same network with class k at feature 4 k of its last layer, and features that never spike between.

    On Speck 2e and 2f class k + 1 of the read-out layer listens to feature 4 k, so that F classes take 4 (F - 1) + 1
    features. A chip without that erratum leaves the network as it is. Source: sinabs 3.1.3, `extend_readout_layer`.

    Raises:
        NeuvaError: if the network has a read-out on the host, or more outputs than the read-out layer knows classes,
            or there is no table for the target.
    """
    chip, last = load(target), net.spec.layers[-1]
    outputs = net.layers[-1].synapse.weight.shape[0]
    if net.readout is not None:
        raise NeuvaError(
            "the host reads valence and arousal, or other outputs, from the last layer's spikes: only a network that "
            "ends in a neuron for each class has classes for the chip's read-out layer; leave --classes-on-chip out"
        )
    if outputs > chip.readout_classes or last.groups != 1:
        raise NeuvaError(
            f"{net.names[-1]} has {outputs} outputs in {last.groups} groups, allowed {chip.readout_classes} in 1 for "
            "the read-out layer on the chip: use fewer, or read them on the host (leave --classes-on-chip out)"
        )
    if chip.readout_spacing == 1:
        return net
    features = chip.readout_spacing * (outputs - 1) + 1
    wide = ValenceArousalNet(replace(net.spec, layers=(*net.spec.layers[:-1], replace(last, channels=features))))
    values, own = net.state_dict(), f"populations.{len(net.layers) - 1}.synapse."
    for name, value in wide.state_dict().items():
        if name.startswith(own):
            value.zero_()[:: chip.readout_spacing] = values[name]
        else:
            value.copy_(values[name])
    return wide.eval()
