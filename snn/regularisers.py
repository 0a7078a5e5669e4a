"""What training pays for beside its loss: spikes too many, neurons too silent, synaptic operations over a budget.

All are functions of the populations' rates, r[n] = mean spikes a step of neuron n over the batch, [C, H, W] a layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from snn.layers import Spiking
from snn.networks import ValenceArousalNet
from snn.processes import mean
from snn.unrolling import Rates


def excess_rate(rates: Rates, limit: float) -> torch.Tensor:
    """Sum over layers of max(0, mean rate - limit): 0 while no layer as a whole fires above `limit`.

    Layers below it are left out of the sum: carrying their zero gradients back over all steps took a fifth of a step.
    """
    excess = [rate.mean() - limit for rate in rates.values()]
    return sum((each for each in excess if each > 0), start=excess[0].new_zeros(()))


def silence(rates: Rates, floor: float) -> torch.Tensor:
    """Mean over all neurons of max(0, 1 - r[n] / floor): 0 where every one fires at `floor`, 1 where none fires."""
    each = torch.cat([rate.flatten() for rate in rates.values()])
    return (1 - each / floor).clamp(min=0).mean()


def over_budget(operations: torch.Tensor, budget: float) -> torch.Tensor:
    """max(0, operations / budget - 1)."""
    return (operations / budget - 1).clamp(min=0)


def synaptic_operations(net: ValenceArousalNet, x: torch.Tensor, rates: Rates) -> torch.Tensor:
    """Synaptic operations an estimate, with gradient: every spike times the synapses it drives, as a chip counts them.

    every * sum over layers and their inputs n of r[n] fan_out[n]; borders are exact; the input's spikes count too.

    Args:
        x: the network's input [T, B, C, H, W]. Loihi sends a count as the payload of one spike, Speck as that many.
    """
    sent = (x > 0).to(x.dtype) if net.spec.target == "loihi" else x
    arriving = {"input": mean(sent.mean((0, 1)))}
    total = arriving["input"].new_zeros(())
    for index, (name, layer) in enumerate(zip(net.names, net.layers, strict=True)):
        heard = net.heard(index, arriving)
        total = total + (heard * fan_out(layer, heard.shape)).sum()
        arriving[name] = layer.send(rates[name][None, None])[0, 0]
    return total * net.spec.every


def fan_out(layer: Spiking, shape: torch.Size) -> torch.Tensor:
    """Synapses that a spike of each input drives, [C, H, W] as `shape`.

    It is the derivative, by that input, of all currents summed where every weight is 1.
    """
    synapse = layer.synapse
    ones = torch.ones_like(synapse.weight, requires_grad=False)
    with torch.enable_grad(), torch.autocast(ones.device.type, enabled=False):  # half precision cannot count to 1000
        x = torch.zeros(1, *shape, device=ones.device, dtype=ones.dtype, requires_grad=True)
        if isinstance(synapse, nn.Linear):
            current = nn.functional.linear(x.flatten(1), ones)
        else:
            geometry: dict[str, Any] = {k: getattr(synapse, k) for k in ("stride", "padding", "dilation", "groups")}
            current = nn.functional.conv2d(x, ones, **geometry)
        (gradient,) = torch.autograd.grad(current.sum(), x)
    return gradient[0]
