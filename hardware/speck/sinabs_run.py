"""sinabs as oracle: a program as sinabs' own network, its simulation, memory figures, mapping and configuration.

Weights and thresholds are integers already, so sinabs gets them as floats that hold them exactly and is told not to
discretise. Its network is a DynapcnnNetwork; where its rules refuse a layer (a kernel that is not square), the plain
layers it is made of are run instead, and the trace says so.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from hardware.program import ChipProgram
from hardware.speck.input import checked_counts
from hardware.speck.results import core_of, finished, pooled
from hardware.speck.samna_guard import dynapcnn
from hardware.speck.synapses import Synapses, synapses
from hardware.trace import CoreCounts, Spikes, Trace
from neuva import NeuvaError, require

if TYPE_CHECKING:
    from torch import nn

_EXACT = 1 << 24  # float32 holds every integer up to here


def run(program: ChipProgram, input_spikes: np.ndarray) -> Trace:
    """Run a clip from zero state in sinabs' clocked simulation.

    Args:
        program: for a chip of the Speck family.
        input_spikes: integers [T, C, H, W], spike counts per step.

    Returns:
        Trace with backend "sinabs", spikes per layer before pooling, and notes["sinabs"]: "DynapcnnNetwork" or
        "layers". Synaptic operations and updates are counted from the spikes, as `clocked.run` defines them.

    Raises:
        NeuvaError: if program and input do not suit each other or a Speck chip, if sinabs or torch are missing, or if
            a sum may be too large for float32 to hold exactly.
    """
    torch = require("torch", "install torch 2.13.0")
    counts, layers = checked_counts(program, input_spikes), synapses(program)
    if all(_square(layer) for layer in layers):
        network, note = dynapcnn_network(program), "DynapcnnNetwork"
        spiking = [network.dynapcnn_layers[index].spk for index in range(len(layers))]
    else:
        network, note = plain_network(program), "layers"
        spiking = [module for module in network if hasattr(module, "spike_threshold")]
    outputs: list[np.ndarray] = []
    for module in spiking:
        module.reset_states()
        module.register_forward_hook(lambda *arguments: outputs.append(arguments[2].numpy().astype(np.int32)))
    if len(counts):
        with torch.no_grad():
            network(torch.from_numpy(counts.astype(np.float32)))
    sent = Spikes.from_dense(counts, program.dt_us)
    spikes, cores = {"input": sent}, []
    for index, layer in enumerate(layers):
        _check_exact(layer, sent)
        dense = outputs[index] if outputs else np.zeros((0, *layer.layer.out_shape), np.int32)
        own = Spikes.from_dense(dense, program.dt_us)
        spikes[layer.name] = own
        updates = layer.layer.neurons * len(counts)
        cores.append(CoreCounts(core_of(program, layer.name), layer.name, layer.operations(sent), updates, own.total))
        sent = pooled(own, layer.layer.pool)
    notes = {"sinabs": note, "versions": {"sinabs": version("sinabs")}}
    duration_us = len(counts) * program.dt_us
    return finished(program, "sinabs", duration_us, sent, spikes, tuple(cores), {}, notes)


def memory_summary(program: ChipProgram) -> dict[str, list[int]]:
    """sinabs' memory figures: "kernel", "neuron" and "bias", each with the words of every layer."""
    summary = dynapcnn_network(program).memory_summary()
    return {key: [int(words[index]) for index in sorted(words)] for key, words in summary.items()}


def core_mapping(program: ChipProgram) -> list[int] | None:
    """The core sinabs gives each layer, None if it finds no mapping."""
    network = dynapcnn_network(program)
    try:
        mapping = _builder(program).map_layers_to_cores(network.dynapcnn_layers)
    except ValueError:
        return None
    return [mapping[index] for index in sorted(mapping)]


def layer_configs(program: ChipProgram, cores: list[int]) -> list[dict[str, Any]]:
    """What sinabs would write to the chip for each layer, given the core of each."""
    network = dynapcnn_network(program)
    builder, core_map = _builder(program), dict(enumerate(cores))
    return [
        builder.get_dynapcnn_layer_config_dict(layer, core_map, network.layer_destination_map[index])
        for index, layer in sorted(network.dynapcnn_layers.items())
    ]


def dynapcnn_network(program: ChipProgram, *, discretize: bool = False) -> Any:
    """sinabs' DynapcnnNetwork of a program; torch's random state is left alone.

    Raises:
        NeuvaError: if sinabs refuses a layer.
    """
    torch, backend = require("torch", "install torch 2.13.0"), dynapcnn()
    with torch.random.fork_rng(devices=[]):  # sinabs traces the network with random input
        try:
            return backend.DynapcnnNetwork(
                plain_network(program), input_shape=program.input.shape, batch_size=1, discretize=discretize
            )
        except (ValueError, TypeError) as error:
            raise NeuvaError(f"sinabs refuses the program ({error}): see `neuva check`") from error


def plain_network(program: ChipProgram) -> nn.Sequential:
    """Conv2d, IAFSqueeze and SumPool2d per layer, one clip a call: input [T, C, H, W]."""
    torch = require("torch", "install torch 2.13.0")
    sinabs_layers = require("sinabs.layers", "install sinabs 3.1.3")
    activation = require("sinabs.activation", "install sinabs 3.1.3")
    modules = []
    for layer in synapses(program):
        bias, neuron = layer.bias if layer.leaks else None, layer.neuron
        convolution = torch.nn.Conv2d(
            layer.in_shape[0], layer.features, layer.kernel, layer.stride, layer.padding, bias=bias is not None
        ).requires_grad_(False)
        convolution.weight.copy_(torch.from_numpy(layer.weight.transpose(3, 0, 1, 2).astype(np.float32)))
        if bias is not None:
            convolution.bias.copy_(torch.from_numpy(bias.astype(np.float32)))
        reset = activation.MembraneReset() if neuron.reset == "zero" else activation.MembraneSubtract()
        spiking = sinabs_layers.IAFSqueeze(
            batch_size=1,
            spike_threshold=torch.tensor(float(neuron.threshold)),
            min_v_mem=torch.tensor(float(neuron.low)),
            spike_fn=activation.MultiSpike,
            reset_fn=reset,
        )
        modules += [convolution, spiking]
        if layer.layer.pool > 1:
            modules.append(sinabs_layers.SumPool2d(layer.layer.pool))
    return torch.nn.Sequential(*modules)


def _builder(program: ChipProgram) -> Any:
    dynapcnn()
    factory = require("sinabs.backend.dynapcnn.chip_factory", "install sinabs 3.1.3").ChipFactory
    device = "speck2edevkit" if program.target == "speck2e" else "speck2fdevkit"
    return factory(device).get_config_builder()


def _square(layer: Synapses) -> bool:
    return layer.kernel[0] == layer.kernel[1]


def _check_exact(layer: Synapses, sent: Spikes) -> None:
    most = layer.largest_sum(int(sent.count.max(initial=0)))
    if most >= _EXACT:
        raise NeuvaError(
            f"layer {layer.name}: sums may reach {most}, exact in sinabs' float32 below {_EXACT}: shorten dt"
        )
