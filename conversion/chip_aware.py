"""Training with the numbers that the chip will have.

While a network is attached to a chip, its layers compute with the integers that lowering makes of them; the optimiser
goes on with the float weights below (straight-through). Removed, it is a plain network whose weights lie on the chip's
grid, and lowering finds that grid again (`quantize.scale_of_grid`).

On Speck the attached network fires exactly as the integer network does. On Loihi the chip also truncates u and v in
every step, by up to 1/64 of a weight's unit; where nothing decays there too every spike is the same.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from conversion import loihi, quantize, speck
from conversion.on_grid import Decay, LoihiBias, OnGrid, Words, loihi_decay
from hardware.program import CHIPS
from neuva import NeuvaError
from snn.layers import Spiking
from snn.networks import ValenceArousalNet
from snn.neurons import Neuron


def choose_scales(net: ValenceArousalNet, target: str, x: torch.Tensor) -> tuple[float, ...]:
    """Integers per unit of weight, a layer each, as lowering would choose them on x [T, B, C, H, W].

    Raises:
        NeuvaError: for an unknown target, or a network with a neuron that the chip lacks.
    """
    family = loihi if _is_loihi(target) else speck
    return family.choose_scales(copy.deepcopy(net).cpu(), x.cpu()).scales


def attach(net: ValenceArousalNet, target: str, scales: Sequence[float]) -> None:
    """Make the network compute with the chip's numbers, in place, until `remove`; its parameters stay the same objects.

    The scales stay as they are: weights that grow beyond the chip's largest are clipped there.

    Args:
        net: a plain network.
        target: the chip.
        scales: as `choose_scales` gives them.

    Raises:
        NeuvaError: if the network is attached already, or for an unknown target.
    """
    if is_attached(net):
        raise NeuvaError(f"the network is attached to a chip already: remove it before it is attached to {target}")
    on_chip = _attach_loihi if _is_loihi(target) else _attach_speck
    for layer, scale in zip(net.layers, scales, strict=True):
        on_chip(layer, scale)


def is_attached(net: nn.Module) -> bool:
    """Whether the network computes with a chip's numbers."""
    return any(True for _ in _parametrised(net))


def remove(net: ValenceArousalNet) -> None:
    """Make it a plain network again, in place, whose weights are those that lowering turns into the integers trained.

    A network that is not attached stays as it is.
    """
    state = plain_state(net)
    for _, module, name in list(_parametrised(net)):
        parametrize.remove_parametrizations(module, name, leave_parametrized=False)
    for layer, spec in zip(net.layers, net.spec.layers, strict=True):
        layer._neuron = spec.neuron
    net.load_state_dict(state)


def raw_state(net: nn.Module) -> dict[str, torch.Tensor]:
    """The float weights that the optimiser changes, under the names of a plain network."""
    return {
        key.replace(".parametrizations.", ".").removesuffix(".original"): value
        for key, value in net.state_dict().items()
    }


def plain_state(net: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict that the network would have after `remove`."""
    state = raw_state(net)
    for key, module, name in _parametrised(net):
        grids = cast("Mapping[str, Sequence[OnGrid]]", module.parametrizations)
        state[key] = grids[name][0].plain(state[key])
    return state


def _attach_loihi(layer: Spiking, scale: float) -> None:
    neuron, learns = layer.neuron, "alpha" in layer.logits
    bias = LoihiBias(scale, layer, None if learns else neuron.alpha)
    _put(layer, Words(scale, 2, quantize.LOIHI_WEIGHT_MIN, quantize.LOIHI_WEIGHT_MAX), bias)
    for name in list(layer.logits):
        parametrize.register_parametrization(layer.logits, name, Decay(name))
    layer._neuron = replace(
        _scaled(neuron, scale),
        alpha=loihi_decay("alpha", neuron.alpha),
        beta=loihi_decay("beta", neuron.beta),
        threshold=_loihi_threshold(layer, round(neuron.threshold * scale)),
    )


def _loihi_threshold(layer: Spiking, whole: int) -> float:
    """The chip fires above its threshold, not at it, and counts v in 64ths, unless v is whole (`quantize.loihi_vth`).

    A bias is taken to be in 64ths: while it is trained it will be.
    """
    du, dv = quantize.loihi_du(layer.neuron.alpha), quantize.loihi_dv(layer.neuron.beta)
    bias = np.array([0 if layer.synapse.bias is None else 1])
    fires_at_it = quantize.loihi_vth(whole, du, dv, bias) < whole
    return whole if fires_at_it else whole + 0.5 / (1 << quantize.LOIHI_SHIFT)


def _attach_speck(layer: Spiking, scale: float) -> None:
    neuron = layer.neuron
    bias = Words(scale, 1, -quantize.SPECK_WEIGHT_MAX, quantize.SPECK_WEIGHT_MAX)
    _put(layer, Words(scale, 1, quantize.SPECK_WEIGHT_MIN, quantize.SPECK_WEIGHT_MAX), bias)
    low = None if neuron.low is None else float(round(neuron.low * scale))
    layer._neuron = replace(_scaled(neuron, scale), threshold=float(round(neuron.threshold * scale)), low=low)


def _put(layer: Spiking, weight: OnGrid, bias: OnGrid) -> None:
    parametrize.register_parametrization(layer.synapse, "weight", weight)
    if layer.synapse.bias is not None:
        parametrize.register_parametrization(layer.synapse, "bias", bias)


def _scaled(neuron: Neuron, scale: float) -> Neuron:
    return replace(neuron, width=neuron.width * scale)


def _parametrised(net: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """(plain key, module, name) of each tensor on a grid."""
    for prefix, module in net.named_modules():
        if parametrize.is_parametrized(module):
            for name in module.parametrizations:
                yield f"{prefix}.{name}", module, name


def _is_loihi(target: str) -> bool:
    if target not in CHIPS:
        raise NeuvaError(f'unknown target "{target}": choose one of {", ".join(CHIPS)}')
    return target.startswith("loihi")
