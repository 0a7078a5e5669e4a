"""sinabs as oracle: a program as sinabs' own network, its simulation, memory figures, mapping and configuration.

Weights and thresholds are integers already, so sinabs gets them as floats that hold them exactly and is told not to
discretise. Its network is a DynapcnnNetwork, traced from a module that calls one sinabs layer after the other. Where
sinabs 3.1.3 has no such network (`_expressible`), those layers are run themselves, and the trace says so.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from hardware.program import ChipProgram
from hardware.speck.input import checked_counts
from hardware.speck.results import core_of, finished, merged, pooled
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
    if _expressible(layers):
        network, note = dynapcnn_network(program), "DynapcnnNetwork"
        spiking = {name: layer.spk for name, layer in _named(network).items()}
    else:
        network, note = plain_network(program), "layers"
        spiking = dict(network.spiking)
    fired: dict[str, list[np.ndarray]] = {name: [] for name in spiking}
    for name, module in spiking.items():
        module.register_forward_hook(_keep(fired[name]))
    stretch = program.reset_every or max(len(counts), 1)
    for first in range(0, len(counts), stretch):
        for module in spiking.values():
            module.reset_states()
        with torch.no_grad():
            network(torch.from_numpy(counts[first : first + stretch].astype(np.float32)))
    sent = {"input": Spikes.from_dense(counts, program.dt_us)}
    spikes, cores = dict(sent), []
    for layer in layers:
        received = merged([sent[name] for name in layer.sources])
        _check_exact(layer, received)
        nothing = np.zeros((0, *layer.layer.out_shape), np.int32)
        own = Spikes.from_dense(np.concatenate([nothing, *fired[layer.name]]), program.dt_us)
        updates = layer.layer.neurons * len(counts)
        cores.append(
            CoreCounts(core_of(program, layer.name), layer.name, layer.operations(received), updates, own.total)
        )
        spikes[layer.name], sent[layer.name] = own, pooled(own, layer.layer.pool)
    notes = {"sinabs": note, "versions": {"sinabs": version("sinabs")}}
    duration_us, last = len(counts) * program.dt_us, sent[layers[-1].name]
    return finished(program, "sinabs", duration_us, last, spikes, tuple(cores), {}, notes)


def memory_summary(program: ChipProgram) -> dict[str, list[int]]:
    """sinabs' memory figures: "kernel", "neuron" and "bias", each with the words of every layer."""
    layers = _named(dynapcnn_network(program))
    words = [layers[layer.name].memory_summary() for layer in program.layers]
    return {kind: [int(each[kind]) for each in words] for kind in ("kernel", "neuron", "bias")}


def core_mapping(program: ChipProgram) -> list[int] | None:
    """The core sinabs gives each layer, None if it finds no mapping."""
    layers = _named(dynapcnn_network(program))
    try:
        mapping = _builder(program).map_layers_to_cores(layers)
    except ValueError:
        return None
    return [mapping[layer.name] for layer in program.layers]


def layer_configurations(program: ChipProgram) -> dict[int, dict[str, Any]]:
    """What sinabs would write to each core of a placed program: `configuration.layer_configurations` by its code.

    Destinations are sorted by core, for sinabs keeps them in a set.
    """
    network, builder = dynapcnn_network(program), _builder(program)
    cores = {part.layer: part.core for part in program.placement}
    names = {index: layer.conv.layer_name for index, layer in network.dynapcnn_layers.items()}
    core_map = {index: cores[name] for index, name in names.items()}
    found = {}
    for index, layer in network.dynapcnn_layers.items():
        config = builder.get_dynapcnn_layer_config_dict(layer, core_map, network.layer_destination_map[index])
        config["leak_enable"] = bool(config["leak_enable"])
        config["destinations"].sort(key=lambda destination: destination["layer"])
        found[core_map[index]] = config
    return found


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


def plain_network(program: ChipProgram) -> Any:
    """A module of Conv2d, IAFSqueeze, SumPool2d and Merge layers, one clip a call: input [T, C, H, W].

    Its `spiking` holds the IAFSqueeze of each layer by name.
    """
    torch = require("torch", "install torch 2.13.0")
    sinabs_layers, layers = require("sinabs.layers", "install sinabs 3.1.3"), synapses(program)

    class Network(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.spiking: dict[str, nn.Module] = {}
            for index, layer in enumerate(layers):
                self.spiking[layer.name] = _spiking(layer)
                self.add_module(f"conv{index}", _convolution(layer))
                self.add_module(f"spike{index}", self.spiking[layer.name])
                if layer.layer.pool > 1:
                    self.add_module(f"pool{index}", sinabs_layers.SumPool2d(layer.layer.pool))
                for more in range(1, len(layer.sources)):
                    self.add_module(f"merge{index}_{more}", sinabs_layers.Merge())

        def forward(self, x: Any) -> Any:
            sent = {"input": x}
            for index, layer in enumerate(layers):
                x = sent[layer.sources[0]]
                for more, name in enumerate(layer.sources[1:], start=1):
                    x = getattr(self, f"merge{index}_{more}")(x, sent[name])
                for part in ("conv", "spike", *(["pool"] if layer.layer.pool > 1 else [])):
                    x = getattr(self, f"{part}{index}")(x)
                sent[layer.name] = x
            return x

    return Network()


def _convolution(layer: Synapses) -> nn.Module:
    torch = require("torch", "install torch 2.13.0")
    shape = (layer.in_shape[0], layer.features, layer.kernel, layer.stride, layer.padding)
    module = torch.nn.Conv2d(*shape, bias=layer.leaks).requires_grad_(False)
    module.weight.copy_(torch.from_numpy(layer.weight.transpose(3, 0, 1, 2).astype(np.float32)))
    if layer.leaks:
        module.bias.copy_(torch.from_numpy(layer.bias.astype(np.float32)))
    module.layer_name = layer.name  # sinabs numbers the layers anew; its copy of this module keeps the name
    return module


def _spiking(layer: Synapses) -> nn.Module:
    torch = require("torch", "install torch 2.13.0")
    activation = require("sinabs.activation", "install sinabs 3.1.3")
    reset = activation.MembraneReset() if layer.neuron.reset == "zero" else activation.MembraneSubtract()
    return require("sinabs.layers", "install sinabs 3.1.3").IAFSqueeze(
        batch_size=1,
        spike_threshold=torch.tensor(float(layer.neuron.threshold)),
        min_v_mem=torch.tensor(float(layer.neuron.low)),
        spike_fn=activation.MultiSpike,
        reset_fn=reset,
    )


def _expressible(layers: list[Synapses]) -> bool:
    """Whether sinabs 3.1.3 runs them as a DynapcnnNetwork.

    Its kernels are square, its layers add up two sources at most, and the input is never one of two.
    """
    return all(
        layer.kernel[0] == layer.kernel[1]
        and (len(layer.sources) == 1 or (len(layer.sources) == 2 and "input" not in layer.sources))
        for layer in layers
    )


def _named(network: Any) -> dict[str, Any]:
    return {layer.conv.layer_name: layer for layer in network.dynapcnn_layers.values()}


def _keep(fired: list[np.ndarray]) -> Any:
    def hook(_module: Any, _input: Any, output: Any) -> None:
        fired.append(output.numpy().astype(np.int32))

    return hook


def _builder(program: ChipProgram) -> Any:
    dynapcnn()
    factory = require("sinabs.backend.dynapcnn.chip_factory", "install sinabs 3.1.3").ChipFactory
    device = "speck2edevkit" if program.target == "speck2e" else "speck2fdevkit"
    return factory(device).get_config_builder()


def _check_exact(layer: Synapses, received: Spikes) -> None:
    most = layer.largest_sum(int(received.count.max(initial=0)))
    if most >= _EXACT:
        raise NeuvaError(
            f"layer {layer.name}: sums may reach {most}, exact in sinabs' float32 below {_EXACT}: shorten dt"
        )
