"""Lowers a network to a Loihi program: CUBA/LIF neurons with hard reset, 8-bit weights, 12-bit decays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from conversion import lowering, quantize
from conversion.calibration import Calibration, calibrate
from hardware.program import ChipProgram, Connection, Layer, LoihiNeuron, Shape
from neuva import NeuvaError
from snn.layers import Spiking
from snn.networks import ValenceArousalNet
from snn.neurons import Neuron


def lower(net: ValenceArousalNet, target: str, x: torch.Tensor) -> ChipProgram:
    """The Loihi program of a network, its scales calibrated on x [T, B, C, H, W]; not yet placed on cores.

    Sum-pooling is folded into the next layer's weights, or into the read-out, which is exact and saves a layer's delay.
    A bias goes into v on the chip and through u in the network; it is lowered to the value at which u settles.

    A layer's weights, threshold and bias share one free scale, so weights need no exponent for their size: it would
    only make threshold and bias finer than the weights' least step, and they are fine enough (the scale makes the
    threshold whole, the bias counts in 64ths). An exponent below 0 would add bits that the chip drops again before it
    adds them to u. It can help where a weight is more than 256 thresholds:
    there the least that holds it is tried, and clipping without one; calibration takes the better.

    Raises:
        NeuvaError: names the layer, what the chip lacks and the cure.
    """
    calibration = choose_scales(net, x)
    shapes = lowering.population_shapes(net)
    layers, pool, sent = [], 1, net.spec.input_shape
    for index, (name, layer) in enumerate(zip(net.names, net.layers, strict=True)):
        scale, exponent = calibration.scales[index], calibration.exponents[index]
        link = _connection(name, layer, scale, exponent, pool, shapes[index][0], sent)
        layers.append(_layer(name, layer, link, scale, sent, shapes[index][1]))
        pool, sent = layer.pool, shapes[index][1]
    read = lowering.readout(net)
    if pool > 1:
        if read is None:
            raise NeuvaError(f"{net.names[-1]}: pooling behind the last layer has nothing to be folded into: remove it")
        c, h, w = sent
        seen = (c, h // pool, w // pool)
        read = replace(read, weight=_fold_pool("readout", Connection("dense", read.weight), pool, seen, sent).weight)
    return ChipProgram(
        target=target,
        dt_us=net.spec.dt_us,
        input=lowering.input_encoding(net),
        layers=tuple(layers),
        readout=read,
        provenance=lowering.provenance(net, x, calibration),
    )


def choose_scales(net: ValenceArousalNet, x: torch.Tensor) -> Calibration:
    """The scales of its layers that `lower` takes, from x [T, B, C, H, W].

    Raises:
        NeuvaError: names the layer, what the chip lacks and the cure.
    """
    lowering.require_family(net, "loihi")
    _require_chain(net)
    for name, layer in zip(net.names, net.layers, strict=True):
        _require_neuron(name, layer.neuron)
        _require_range(name, layer)
    ceiling = [_ceiling(layer) for layer in net.layers]
    exponents = [_exponent(layer) for layer in net.layers]
    grid, largest = quantize.loihi_weight, quantize.LOIHI_WEIGHT_MAX
    return calibrate(net, x, grid, largest, lambda k: ceiling[k], lambda k: exponents[k])


def _require_chain(net: ValenceArousalNet) -> None:
    """Every layer hears the layer before alone: the chip takes a step a layer, so that branches would come apart."""
    for name, before, heard in zip(net.names, ["input", *net.names], net.spec.sources, strict=False):
        if heard != (before,):
            raise NeuvaError(
                f"{name} hears {' and '.join(heard)}: on Loihi spikes take a step a layer, so that branches reach it "
                "steps apart; convert for a Speck, or make the network a chain"
            )


def _exponent(layer: Spiking) -> int:
    return quantize.loihi_exponent(lowering.float_weight(layer)[0], layer.neuron.threshold)


def _ceiling(layer: Spiking) -> float:
    """The largest scale that threshold and bias allow."""
    bias = np.max(np.abs(_settled_bias(layer)), initial=0)
    largest = quantize.LOIHI_THRESHOLD_MAX / layer.neuron.threshold
    return min(largest, quantize.LOIHI_BIAS_MAX / (1 << quantize.LOIHI_SHIFT) / bias) if bias else largest


def _settled_bias(layer: Spiking) -> np.ndarray:
    """The network's bias flows through u and settles there at this; the chip's goes into v at once."""
    return lowering.float_weight(layer)[1] / (1 - layer.neuron.alpha)


def _require_range(name: str, layer: Spiking) -> None:
    """A layer's weights, threshold and bias must fit the chip's words at one scale."""
    weight, threshold = lowering.float_weight(layer)[0], layer.neuron.threshold
    peak, bias = float(np.abs(weight).max(initial=0)), float(np.abs(_settled_bias(layer)).max(initial=0))
    # Lava's convolution leaves exponents out (lava#803), so that a program with one could not be checked against it
    exponent = quantize.LOIHI_EXP_MAX if isinstance(layer.synapse, nn.Linear) else 0
    allowed = -quantize.LOIHI_WEIGHT_MIN << exponent
    if _exponent(layer) > exponent:
        raise NeuvaError(
            f"{name}: its largest weight is {peak / threshold:.3g} times its threshold, allowed {allowed}: no exponent "
            "holds both; clip its weights or raise its threshold"
        )
    if peak and peak * _ceiling(layer) < 1:
        raise NeuvaError(
            f"{name}: its largest weight, {peak:.3g}, rounds to 0 at the largest scale that its threshold "
            f"{threshold:.3g} and bias {bias:.3g} allow: no exponent holds them; lower threshold or bias"
        )


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


def _connection(
    name: str, layer: Spiking, scale: float, exponent: int, pool: int, seen: Shape, sent: Shape
) -> Connection:
    weight, _ = lowering.float_weight(layer)
    link = lowering.connection(layer, quantize.loihi_weight(weight, scale / (1 << exponent)), exponent)
    return link if pool == 1 else _fold_pool(name, link, pool, seen, sent)


def _fold_pool(name: str, link: Connection, pool: int, seen: Shape, sent: Shape) -> Connection:
    """Sum-pooling then `link`, as one connection on the unpooled spikes `sent`; a dilated kernel is written out.

    Raises:
        NeuvaError: if the convolution pads where pooling drops rows or columns: folded, it would hear those.
    """
    if link.kind == "dense":
        grid = link.weight.reshape(-1, *seen).repeat(pool, axis=2).repeat(pool, axis=3)
        whole = np.zeros((len(grid), *sent), link.weight.dtype)  # rows and columns that pooling drops stay 0
        whole[:, :, : grid.shape[2], : grid.shape[3]] = grid
        return Connection("dense", whole.reshape(len(grid), -1), weight_exp=link.weight_exp)
    kernel = _undilated(link)
    for side, whole_side, size, stride, padding in zip(
        seen[1:], sent[1:], kernel.shape[2:], link.stride, link.padding, strict=True
    ):
        last = (side + 2 * padding - size) // stride * stride + size - padding  # behind what the last place hears
        if whole_side % pool and last > side:
            raise NeuvaError(
                f"{name}: a map of {sent[1]}x{sent[2]} is pooled by {pool} before it, which drops its last rows or "
                f"columns, where its padding {link.padding} comes to lie: let the pooling divide the map, or pad by 0"
            )
    return Connection(
        "conv",
        kernel.repeat(pool, axis=2).repeat(pool, axis=3),
        stride=(link.stride[0] * pool, link.stride[1] * pool),
        padding=(link.padding[0] * pool, link.padding[1] * pool),
        groups=link.groups,
    )


def _undilated(link: Connection) -> np.ndarray:
    """The kernel with a dilation's gaps as zeros."""
    (d_y, d_x), (c_out, c_in, k_y, k_x) = link.dilation, link.weight.shape
    kernel = np.zeros((c_out, c_in, d_y * (k_y - 1) + 1, d_x * (k_x - 1) + 1), link.weight.dtype)
    kernel[:, :, ::d_y, ::d_x] = link.weight
    return kernel


def _layer(name: str, layer: Spiking, link: Connection, scale: float, sent: Shape, out: Shape) -> Layer:
    neuron = layer.neuron
    words, exponent = quantize.loihi_bias(_settled_bias(layer), scale)
    du, dv = quantize.loihi_du(neuron.alpha), quantize.loihi_dv(neuron.beta)
    return Layer(
        name=name,
        in_shape=sent,
        out_shape=out,
        connection=link,
        neuron=LoihiNeuron(
            du=du,
            dv=dv,
            vth=quantize.loihi_vth(round(neuron.threshold * scale), du, dv, words),
            bias=words.astype(np.int32),
            bias_exp=exponent,
        ),
    )
