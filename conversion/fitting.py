"""Takes a network whose neurons nobody trained for a chip to the nearest neurons that the chip has, and says so."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from hardware.rules import Finding
from snn.networks import ValenceArousalNet
from snn.neurons import Neuron


def fit_neurons(net: ValenceArousalNet, family: Literal["loihi", "speck"]) -> tuple[ValenceArousalNet, list[Finding]]:
    """The same synapses with neurons that the chip has, where only reset, bound and spikes a step are in the way.

    A network that was trained for a chip family stays as it is. What this costs is in the certificate: its float
    reference is the network as it was.

    Returns:
        The network and a warning for each layer and change.
    """
    if net.spec.target != "any":
        return net, []
    fitted, found = copy.deepcopy(net), []
    for name, layer in zip(fitted.names, fitted.layers, strict=True):
        before = layer.neuron
        layer._neuron = _fit(before, family)
        found += list(_changes(name, before, layer.neuron))
    if not found:
        return net, []
    specs = tuple(
        replace(spec, neuron=layer.neuron) for spec, layer in zip(net.spec.layers, fitted.layers, strict=True)
    )
    fitted.spec = replace(net.spec, layers=specs)
    return fitted, found


def _fit(neuron: Neuron, family: str) -> Neuron:
    if family == "loihi":
        return replace(neuron, reset="zero", low=None, multi_spike=False)
    low = -neuron.threshold if neuron.low is None else neuron.low
    return replace(neuron, low=low, multi_spike=True)


def _changes(name: str, before: Neuron, after: Neuron) -> Iterator[Finding]:
    for key, what in (("reset", "reset"), ("low", "lower bound"), ("multi_spike", "several spikes a step")):
        was, now = getattr(before, key), getattr(after, key)
        if was != now:
            cure = f"train with {key}: {now}, or look in the certificate for what it costs"
            yield Finding("neuron_of_the_chip", "warning", name, f"{what} {_said(was)}", f"{_said(now)}", cure)


def _said(value: object) -> str:
    return {None: "none", True: "yes", False: "no"}.get(value, str(value))  # type: ignore[call-overload]
