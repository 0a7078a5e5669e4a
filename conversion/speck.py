"""Lowers a network to a Speck/DynapCNN program: integrate-and-fire, 8-bit weights, 16-bit states."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from conversion import lowering, quantize
from conversion.calibration import Calibration, calibrate
from conversion.sinabs_rule import Integers, sinabs_integers, sinabs_scale
from hardware.program import ChipProgram, Layer, Shape, SpeckNeuron
from neuva import NeuvaError
from snn.layers import Spiking
from snn.networks import ValenceArousalNet
from snn.neurons import Neuron

Scaling = Literal["calibrated", "sinabs"]
"""How a layer's scale is chosen: by what it costs at the network's output, or by sinabs' rule."""


def lower(net: ValenceArousalNet, target: str, x: torch.Tensor, scaling: Scaling = "calibrated") -> ChipProgram:
    """The Speck program of a network, its scales calibrated on x [T, B, C, H, W]; not yet placed on cores.

    A layer has one scale for weights, threshold, lower bound and bias, as the chip needs.

    Raises:
        NeuvaError: names the layer, what the chip lacks and the cure.
    """
    calibration = choose_scales(net, x, scaling)
    layers = []
    for index, shapes in enumerate(lowering.population_shapes(net)):
        name, layer, scale = net.names[index], net.layers[index], calibration.scales[index]
        integers = sinabs_integers(*_floats(layer)) if scaling == "sinabs" else _integers(layer, scale)
        _require_weights(name, layer, integers, scale)
        layers.append(_layer(name, layer, integers, shapes, net.spec.layers[index].sources))
    return ChipProgram(
        target=target,
        dt_us=net.spec.dt_us,
        input=lowering.input_encoding(net),
        layers=tuple(layers),
        readout=lowering.readout(net),
        provenance=lowering.provenance(net, x, calibration),
    )


def choose_scales(net: ValenceArousalNet, x: torch.Tensor, scaling: Scaling = "calibrated") -> Calibration:
    """The scales of its layers that `lower` takes, from x [T, B, C, H, W]; sinabs' rule needs no x and knows no errors.

    Raises:
        NeuvaError: names the layer, what the chip lacks and the cure.
    """
    lowering.require_family(net, "speck")
    for name, layer in zip(net.names, net.layers, strict=True):
        _require_neuron(name, layer.neuron)
    if scaling == "sinabs":
        return Calibration(tuple(float(sinabs_scale(*_floats(layer))) for layer in net.layers), (), ())
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


def _floats(layer: Spiking) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Weight, bias, threshold and lower bound."""
    return *lowering.float_weight(layer), layer.neuron.threshold, layer.neuron.low or 0.0


def _integers(layer: Spiking, scale: float) -> Integers:
    weight, bias, threshold, low = _floats(layer)
    words = quantize.speck_weight(weight, scale)
    return Integers(words, np.rint(bias * scale).astype(np.int32), round(threshold * scale), round(low * scale))


def _require_weights(name: str, layer: Spiking, integers: Integers, scale: float) -> None:
    if integers.weight.any() and integers.threshold:
        return
    weight, bias, threshold, low = _floats(layer)
    what = "every weight rounds" if integers.threshold else "its threshold rounds"
    raise NeuvaError(
        f"{name}: {what} to 0 at the scale {scale:.3g} that its largest weight {np.abs(weight).max():.3g}, bias "
        f"{np.abs(bias).max():.3g}, threshold {threshold:.3g} and lower bound {low:.3g} allow together: train with a "
        "smaller threshold, a bound nearer to 0 or without bias"
    )


def _layer(
    name: str, layer: Spiking, integers: Integers, shapes: tuple[Shape, Shape], sources: tuple[str, ...]
) -> Layer:
    return Layer(
        name=name,
        in_shape=shapes[0],
        out_shape=shapes[1],
        connection=lowering.connection(layer, integers.weight),
        neuron=SpeckNeuron(integers.threshold, integers.low, layer.neuron.reset, integers.bias),
        pool=layer.pool,
        sources=sources,
    )
