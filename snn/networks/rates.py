"""Scales the layers of a network until each fires as often as it is told to."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from neuva import NeuvaError
from snn.layers import Spiking
from snn.networks.valence_arousal import ValenceArousalNet

ROUNDS = 16
"""Of the search for a factor: it may reach 2^15, or be found to 1 part in thousands."""

FLOOR = 0.1
"""Least share of its rate that a layer must reach: small layers of random weights saturate below it, and learn."""

NEAR = 0.01
"""Of two factors whose rates differ by no more, as a share of what is wanted, the smaller is taken."""


@torch.no_grad()
def scale_to_rate(
    net: ValenceArousalNet, x: torch.Tensor, rate: float | Mapping[str, float] = 0.08
) -> dict[str, float]:
    """Scale each layer's weights and bias in place until it fires at `rate` on x [T, B, C, H, W].

    Layer by layer, each given the ones before. Without it a deep network of random weights is silent or saturated, and
    has no gradient to learn from.

    Args:
        rate: spikes a neuron and step, above 0; of all layers, or of each by its name.

    Returns:
        The rate reached in each layer.

    Raises:
        NeuvaError: if x has no spike, or a layer does not reach a tenth of its rate whatever its factor.
    """
    if not x.any():
        raise NeuvaError("the first windows hold no events: the data is empty, or cut where nothing happens")
    reached, sent = {}, {"input": x}
    for index, (name, layer) in enumerate(zip(net.names, net.layers, strict=True)):
        current = layer.current(net.heard(index, sent))
        factor = _factor(name, layer, current, rate[name] if isinstance(rate, Mapping) else rate)
        for parameter in layer.synapse.parameters():
            parameter.mul_(factor)
        spikes, _ = layer.fire(current * factor)
        reached[name], sent[name] = float(spikes.mean()), layer.send(spikes)
    return reached


def _factor(name: str, layer: Spiking, current: torch.Tensor, wanted: float) -> float:
    """What to multiply the current by: doubling until it is enough, then bisection; the nearest of all that was tried.

    Few neurons, or reset, make the rate a staircase that may end early: the last factor tried need not be the best.
    """
    low, high, factor = 0.0, float("inf"), 1.0
    found: dict[float, float] = {}
    for _ in range(ROUNDS):
        found[factor] = float(layer.fire(current * factor)[0].mean())
        low, high = (factor, high) if found[factor] < wanted else (low, factor)
        factor = factor * 2 if high == float("inf") else (low + high) / 2
    if max(found.values()) < FLOOR * wanted:
        raise NeuvaError(
            f"{name} cannot fire at {wanted:g} spikes a neuron and step: it reaches {max(found.values()):g} with its "
            f"weights times {max(found):g}, and must reach {FLOOR * wanted:g}: give it other first weights (seed, "
            "start) or a lower rate (recipe.start_rate)"
        )
    off = {each: abs(rate - wanted) for each, rate in found.items()}
    return min(each for each in off if off[each] <= min(off.values()) + NEAR * wanted)
