"""Lowers a network to a Speck/DynapCNN program: integrate-and-fire, 8-bit weights, 16-bit states."""

from __future__ import annotations

import numpy as np
import torch

from conversion import lowering, quantize
from conversion.calibration import Calibration, calibrate
from hardware.program import ChipProgram, Layer, SpeckNeuron
from neuva import NeuvaError
from snn.layers import Spiking
from snn.networks import ValenceArousalNet
from snn.neurons import Neuron


def lower(net: ValenceArousalNet, target: str, x: torch.Tensor) -> ChipProgram:
    """The Speck program of a network, its scales calibrated on x [T, B, C, H, W]; not yet placed on cores.

    A layer has one scale for weights, threshold, lower bound and bias, as the chip needs.

    Raises:
        NeuvaError: names the layer, what the chip lacks and the cure.
    """
    calibration = choose_scales(net, x)
    shapes = lowering.population_shapes(net)
    layers = tuple(
        _layer(name, layer, scale, *shape)
        for name, layer, scale, shape in zip(net.names, net.layers, calibration.scales, shapes, strict=True)
    )
    return ChipProgram(
        target=target,
        dt_us=net.spec.dt_us,
        input=lowering.input_encoding(net),
        layers=layers,
        readout=lowering.readout(net),
        provenance=lowering.provenance(net, x, calibration),
    )


def choose_scales(net: ValenceArousalNet, x: torch.Tensor) -> Calibration:
    """The scales of its layers that `lower` takes, from x [T, B, C, H, W].

    Raises:
        NeuvaError: names the layer, what the chip lacks and the cure.
    """
    lowering.require_family(net, "speck")
    for name, layer in zip(net.names, net.layers, strict=True):
        _require_neuron(name, layer.neuron)
    ceiling = [_ceiling(layer) for layer in net.layers]
    return calibrate(net, x, quantize.speck_weight, quantize.SPECK_WEIGHT_MAX, lambda k: ceiling[k])


def _require_neuron(name: str, neuron: Neuron) -> None:
    lacks = []
    if neuron.alpha != 0 or neuron.beta != 1:
        lacks.append("leak or synaptic current (train with alpha: 0, beta: 1)")
    if not neuron.multi_spike:
        lacks.append("limit of one spike a step (train with multi_spike: true)")
    if neuron.low is None:
        lacks.append("membrane without lower bound (train with low: -1: without it one scale must span all 16 bits)")
    if lacks:
        raise NeuvaError(f"{name}: Speck has no {' and no '.join(lacks)}")


def _ceiling(layer: Spiking) -> float:
    neuron = layer.neuron
    largest = max(neuron.threshold, -(neuron.low or 0.0))
    _, bias = lowering.float_weight(layer)
    peak = float(np.max(np.abs(bias), initial=0))
    return min(quantize.SPECK_STATE_MAX / largest, quantize.SPECK_WEIGHT_MAX / peak if peak else np.inf)


def _layer(name: str, layer: Spiking, scale: float, in_shape: tuple, out_shape: tuple) -> Layer:
    weight, bias = lowering.float_weight(layer)
    words = quantize.speck_weight(weight, scale)
    if not words.any():
        raise NeuvaError(
            f"{name}: every weight rounds to 0 at the scale {scale:.3g} that its threshold and bias allow: "
            "train with a smaller threshold or without bias"
        )
    neuron = layer.neuron
    return Layer(
        name=name,
        in_shape=in_shape,
        out_shape=out_shape,
        connection=lowering.connection(layer, words),
        neuron=SpeckNeuron(
            threshold=round(neuron.threshold * scale),
            low=round((neuron.low or 0.0) * scale),
            reset=neuron.reset,
            bias=np.rint(bias * scale).astype(np.int32),
        ),
        pool=layer.pool,
    )
