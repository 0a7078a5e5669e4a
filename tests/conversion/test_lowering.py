"""Lowering: the fake-quantised network equals the emulator spike for spike, and stays near the float reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conversion import loihi, speck
from conversion.fake_quant import fake_quantised_estimates, fake_quantised_spikes
from hardware import devices
from hardware.program import ChipProgram
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, ValenceArousalNet
from snn.networks import scale_to_rate

CUBA = Neuron(0.5, 0.9)
IF = Neuron(reset="subtract", low=-1.0, multi_spike=True)
LOWER = {"loihi2": (loihi.lower, CUBA), "speck2f": (speck.lower, IF)}
STEPS = 24


def spikes() -> torch.Tensor:
    return (torch.rand(STEPS, 3, 2, 16, 16, generator=torch.Generator().manual_seed(5)) < 0.15).float()


def network(neuron: Neuron, target: str = "any", bias: bool = False, pool: int = 2) -> ValenceArousalNet:
    torch.manual_seed(7)
    layers = (
        LayerSpec("conv", 4, neuron, (3, 3), (1, 1), (1, 1), bias=bias, pool=pool),
        LayerSpec("conv", 6, neuron, (3, 3), (2, 2), (1, 1), bias=bias, pool=pool),
        LayerSpec("dense", 12, neuron, bias=bias),
    )
    net = ValenceArousalNet(NetworkSpec(target=target, layers=layers, input_shape=(2, 16, 16)))  # type: ignore[arg-type]
    scale_to_rate(net, spikes(), 0.15)
    return net.eval()


@pytest.mark.parametrize("target", LOWER)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("pool", [1, 2])
def test_fake_quantised_equals_the_emulator_in_every_spike(target: str, bias: bool, pool: int) -> None:
    lower, neuron = LOWER[target]
    x = spikes()
    program = lower(network(neuron, bias=bias, pool=pool), target, x)
    quantised = fake_quantised_spikes(program, x)
    va = fake_quantised_estimates(program, quantised)
    for clip in range(x.shape[1]):
        trace = devices.run(program, x[:, clip].numpy().astype(np.uint8), "emulator")
        for layer in program.layers:
            ours = trace.spikes[layer.name].dense(STEPS, program.dt_us)
            assert ours.sum() > 0
            assert np.array_equal(ours, quantised[layer.name][:, clip].numpy())
        assert np.allclose(trace.va, va[:, clip].numpy(), atol=1e-5)


@pytest.mark.parametrize("target", LOWER)
def test_quantisation_stays_near_the_float_reference(target: str) -> None:
    lower, neuron = LOWER[target]
    net, x = network(neuron), spikes()
    program = lower(net, target, x)
    va = fake_quantised_estimates(program, fake_quantised_spikes(program, x)).numpy()
    with torch.no_grad():
        reference = net(x).clamp(-1, 1).numpy()
    assert np.abs(va - reference).mean() < 0.05


@pytest.mark.parametrize("target", LOWER)
def test_a_program_survives_its_file(target: str, tmp_path) -> None:
    lower, neuron = LOWER[target]
    program = lower(network(neuron, bias=True), target, spikes())
    program.save(tmp_path / "chip.h5")
    back = ChipProgram.load(tmp_path / "chip.h5")
    assert back.provenance == program.provenance
    for ours, theirs in zip(program.layers, back.layers, strict=True):
        assert np.array_equal(ours.connection.weight, theirs.connection.weight)
        assert {**vars(ours.connection), "weight": 0} == {**vars(theirs.connection), "weight": 0}
        assert {**vars(ours.neuron), "bias": 0} == {**vars(theirs.neuron), "bias": 0}


def test_a_wrong_decay_would_be_noticed() -> None:
    """du without its +1 must not pass for the network."""
    program = loihi.lower(network(CUBA), "loihi2", spikes())
    right = fake_quantised_spikes(program, spikes())
    for layer in program.layers:
        object.__setattr__(layer.neuron, "du", layer.neuron.du - 60)  # type: ignore[union-attr]
    wrong = fake_quantised_spikes(program, spikes())
    assert any(not torch.equal(right[name], wrong[name]) for name in right)


@pytest.mark.parametrize(
    ("target", "neuron", "lack"),
    [
        ("loihi2", IF, "reset by subtraction"),
        ("loihi2", Neuron(low=-1.0), "lower bound"),
        ("speck2f", CUBA, "leak"),
        ("speck2f", Neuron(reset="subtract", multi_spike=True), "without lower bound"),
    ],
)
def test_what_the_chip_lacks_is_named_with_its_layer(target: str, neuron: Neuron, lack: str) -> None:
    with pytest.raises(NeuvaError, match=f"conv1: .*{lack}"):
        LOWER[target][0](network(neuron), target, spikes())


def test_a_network_trained_for_the_other_chip_is_refused() -> None:
    with pytest.raises(NeuvaError, match="trained for speck"):
        loihi.lower(network(CUBA, "speck"), "loihi2", spikes())
