"""One LIF neuron in every library that is installed, as a drop-in between the same synapses.

v[t] = 0.9 (1 - s[t-1]) v[t-1] + x[t], s[t] = [v[t] >= 1]; surrogate 1 / (1 + (pi d)^2) where a library offers arctan
or takes a function, and no gradient through the reset. Each maker gives a function [T, B, ...] -> spikes [T, B, ...].
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from importlib.util import find_spec

import torch

from snn import kernels
from snn.neurons import Neuron

BETA = 0.9
Fire = Callable[[torch.Tensor], torch.Tensor]


def relu() -> Fire:
    """The floor: no neuron at all."""
    return torch.relu


def neuva() -> Fire:
    """This project's fused kernel."""
    neuron = Neuron(beta=BETA, reset="zero", surrogate="arctan", width=1.0)
    return lambda x: kernels.run(neuron, x)[0]


def snntorch() -> Fire:
    """snnTorch's Leaky, step by step."""
    import snntorch
    from snntorch import surrogate

    leaky = snntorch.Leaky(BETA, spike_grad=surrogate.atan(alpha=2.0), reset_mechanism="zero")

    def fire(x: torch.Tensor) -> torch.Tensor:
        membrane, spikes = torch.zeros_like(x[0]), []
        for current in x.unbind(0):
            spike, membrane = leaky(current, membrane)
            spikes.append(spike)
        return torch.stack(spikes)

    return fire


def norse() -> Fire:
    """norse's LIF without synaptic current; its input is scaled by (1 - beta) inside, so it is scaled back here.

    Its surrogate is SuperSpike's, the only one its LIF offers beside a few others: gradients differ from arctan's.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step
    scale = 1 - BETA
    parameters = LIFBoxParameters(tau_mem_inv=torch.tensor(scale), method="super", alpha=torch.tensor(1.0))

    def fire(x: torch.Tensor) -> torch.Tensor:
        state, spikes = LIFBoxFeedForwardState(torch.zeros_like(x[0])), []
        for current in (x / scale).unbind(0):
            spike, state = lif_box_feed_forward_step(current, state, parameters, dt=1.0)
            spikes.append(spike)
        return torch.stack(spikes)

    return fire


def sinabs() -> Fire:
    """sinabs' LIF, which takes [B, T, ...]."""
    from sinabs.activation import MembraneReset, SingleSpike
    from sinabs.layers import LIF

    layer = LIF(
        tau_mem=-1 / math.log(BETA),
        spike_fn=SingleSpike,
        reset_fn=MembraneReset(),
        surrogate_grad_fn=lambda v, threshold: 1 / (1 + (math.pi * (v - threshold)) ** 2),
        norm_input=False,
    )

    def fire(x: torch.Tensor) -> torch.Tensor:
        layer.reset_states()
        return layer(x.transpose(0, 1)).transpose(0, 1)

    return fire


def spikingjelly() -> Fire:
    """SpikingJelly's LIFNode over several steps; from 2.0 on it chooses its fastest backend (CUDA, Triton) itself."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    node = neuron.LIFNode(
        tau=1 / (1 - BETA),
        decay_input=False,
        v_reset=0.0,
        surrogate_function=surrogate.ATan(alpha=2.0),
        detach_reset=True,
        step_mode="m",
    )

    def fire(x: torch.Tensor) -> torch.Tensor:
        functional.reset_net(node)
        return node(x)

    return fire


PEERS: dict[str, Callable[[], Fire]] = {
    "neuva": neuva,
    "snntorch": snntorch,
    "norse": norse,
    "sinabs": sinabs,
    "spikingjelly": spikingjelly,
}
OTHER_SURROGATE = ("norse",)
"""Peers whose gradients cannot agree."""


def installed() -> list[str]:
    """Names of the peers at hand, neuva first."""
    return [name for name in PEERS if name == "neuva" or find_spec(name) is not None]
