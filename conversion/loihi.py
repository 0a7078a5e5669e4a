"""Lowers a network to a Loihi program: CUBA/LIF neurons with hard reset, 8-bit weights, 12-bit decays."""

from __future__ import annotations

import numpy as np
import torch

from conversion import lowering, quantize
from conversion.calibration import Calibration, calibrate
from hardware.program import ChipProgram, Connection, Layer, LoihiNeuron, Shape
from neuva import NeuvaError
from snn.layers import Spiking
from snn.networks import ValenceArousalNet
from snn.neurons import Neuron


def lower(net: ValenceArousalNet, target: str, x: torch.Tensor) -> ChipProgram:
    """The Loihi program of a network, its scales calibrated on x [T, B, C, H, W]; not yet placed on cores.

    Sum-pooling is folded into the next layer's weights, which is exact and saves a layer's delay. A bias goes into v
    on the chip and through u in the network; it is lowered to the value at which u settles.

    Raises:
        NeuvaError: names the layer, what the chip lacks and the cure.
    """
    calibration = choose_scales(net, x)
    shapes = lowering.population_shapes(net)
    layers, pool, sent = [], 1, net.spec.input_shape
    for index, (name, layer) in enumerate(zip(net.names, net.layers, strict=True)):
        link = _connection(layer, calibration.scales[index], pool, shapes[index][0], sent)
        layers.append(_layer(name, layer, link, calibration.scales[index], sent, shapes[index][1]))
        pool, sent = layer.pool, shapes[index][1]
    if pool > 1:
        raise NeuvaError(f"{net.names[-1]}: pooling behind the last layer has nothing to be folded into: remove it")
    return ChipProgram(
        target=target,
        dt_us=net.spec.dt_us,
        input=lowering.input_encoding(net),
        layers=tuple(layers),
        readout=lowering.readout(net),
        provenance=lowering.provenance(net, x, calibration),
    )


def choose_scales(net: ValenceArousalNet, x: torch.Tensor) -> Calibration:
    """The scales of its layers that `lower` takes, from x [T, B, C, H, W].

    Raises:
        NeuvaError: names the layer, what the chip lacks and the cure.
    """
    lowering.require_family(net, "loihi")
    for name, layer in zip(net.names, net.layers, strict=True):
        _require_neuron(name, layer.neuron)
    ceiling = [quantize.LOIHI_THRESHOLD_MAX / layer.neuron.threshold for layer in net.layers]
    return calibrate(net, x, quantize.loihi_weight, quantize.LOIHI_WEIGHT_MAX, lambda k: ceiling[k])


def _require_neuron(name: str, neuron: Neuron) -> None:
    lacks = []
    if neuron.reset != "zero":
        lacks.append("reset by subtraction (train with reset: zero)")
    if neuron.low is not None:
        lacks.append("a lower bound of the membrane (train with low: null)")
    if neuron.multi_spike:
        lacks.append("several spikes a step (train with multi_spike: false)")
    if neuron.alpha == 1:
        lacks.append("synaptic current that never decays (train with alpha below 1)")
    if lacks:
        raise NeuvaError(f"{name}: Loihi has no {' and no '.join(lacks)}")


def _connection(layer: Spiking, scale: float, pool: int, seen: Shape, sent: Shape) -> Connection:
    weight, _ = lowering.float_weight(layer)
    link = lowering.connection(layer, quantize.loihi_weight(weight, scale))
    return link if pool == 1 else _fold_pool(link, pool, seen, sent)


def _fold_pool(link: Connection, pool: int, seen: Shape, sent: Shape) -> Connection:
    """Sum-pooling then `link`, as one connection on the unpooled spikes `sent`."""
    if link.kind == "dense":
        grid = link.weight.reshape(-1, *seen).repeat(pool, axis=2).repeat(pool, axis=3)
        whole = np.zeros((len(grid), *sent), link.weight.dtype)  # rows and columns that pooling drops stay 0
        whole[:, :, : grid.shape[2], : grid.shape[3]] = grid
        return Connection("dense", whole.reshape(len(grid), -1))
    if link.dilation != (1, 1) or any(side % pool for side in sent[1:]):
        raise NeuvaError(
            "a dilated convolution or an odd map behind pooling cannot be folded: use a strided convolution"
        )
    return Connection(
        "conv",
        link.weight.repeat(pool, axis=2).repeat(pool, axis=3),
        stride=(link.stride[0] * pool, link.stride[1] * pool),
        padding=(link.padding[0] * pool, link.padding[1] * pool),
        groups=link.groups,
    )


def _layer(name: str, layer: Spiking, link: Connection, scale: float, sent: Shape, out: Shape) -> Layer:
    neuron, (_, bias) = layer.neuron, lowering.float_weight(layer)
    # the network's bias flows through u and settles there at bias / (1 - alpha); the chip's goes into v at once
    words, exponent = quantize.loihi_bias(bias / (1 - neuron.alpha), scale)
    vth = round(neuron.threshold * scale)
    return Layer(
        name=name,
        in_shape=sent,
        out_shape=out,
        connection=link,
        neuron=LoihiNeuron(
            du=quantize.loihi_du(neuron.alpha),
            dv=quantize.loihi_dv(neuron.beta),
            vth=vth,
            bias=words.astype(np.int32),
            bias_exp=exponent,
        ),
    )
