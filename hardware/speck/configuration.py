"""What is written to each core of a board: a placed program as plain values, in the vendor's own words.

Keys, orders of axes and the choice of x before y are samna's, as sinabs 3.1.3 writes them
(`DynapcnnConfigBuilder.get_dynapcnn_layer_config_dict`), so that either configuration can be compared with the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hardware.program import ChipProgram
from hardware.speck.cores import LayerSize, destinations, sizes
from hardware.speck.synapses import Synapses, synapses
from neuva import NeuvaError


def layer_configurations(program: ChipProgram) -> dict[int, dict[str, Any]]:
    """Core -> its configuration, all states zero and no monitor on.

    Of each core: `dimensions`, `weights` [F, C, K_x, K_y], `biases` [F], `leak_enable`, `return_to_zero`,
    `threshold_high`, `threshold_low`, `neurons_initial_value` [F, W, H] and `destinations`, one {layer: core, enable,
    pooling} for each layer that hears this one, in the program's order; none where only the host reads it.

    Raises:
        NeuvaError: if a layer has no core, a kernel that is not square, or makes no Speck layer.
    """
    cores = {part.layer: part.core for part in program.placement}
    missing = [layer.name for layer in program.layers if layer.name not in cores]
    if missing:
        raise NeuvaError(f"layers {', '.join(missing)} have no core: place the program (`neuva check` says why not)")
    return {
        cores[layer.name]: _configuration(layer, size, [cores[name] for name in destinations(program)[layer.name]])
        for layer, size in zip(synapses(program), sizes(program), strict=True)
    }


def _configuration(layer: Synapses, size: LayerSize, hearers: list[int]) -> dict[str, Any]:
    if size.kernel[0] != size.kernel[1]:
        raise NeuvaError(f"layer {layer.name} has a kernel of {size.kernel[1]}x{size.kernel[0]}: see `neuva check`")
    features, height, width = size.out_shape
    return {
        "destinations": [{"layer": core, "enable": True, "pooling": layer.layer.pool} for core in hearers],
        "dimensions": {
            "input_shape": _shape(size.in_shape),
            "output_shape": _shape(size.out_shape),
            "padding": _xy(layer.padding),
            "stride": _xy(layer.stride),
            "kernel_size": size.kernel[0],
        },
        "weights": layer.weight.transpose(3, 0, 2, 1).tolist(),
        "biases": layer.bias.tolist(),
        "leak_enable": layer.leaks,
        "return_to_zero": layer.neuron.reset == "zero",
        "threshold_high": layer.neuron.threshold,
        "threshold_low": layer.neuron.low,
        "monitor_enable": False,
        "neurons_initial_value": np.zeros((features, width, height), int).tolist(),
    }


def _shape(shape: tuple[int, int, int]) -> dict[str, Any]:
    return {"size": _xy(shape[1:]), "feature_count": shape[0]}


def _xy(sides: tuple[int, ...]) -> dict[str, int]:
    return {"x": sides[1], "y": sides[0]}
