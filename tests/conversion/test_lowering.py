"""Lowering: the fake-quantised network equals the emulator spike for spike, and stays near the float reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from conversion import loihi, quantize, speck
from conversion.fake_quant import fake_quantised_estimates, fake_quantised_spikes
from hardware import devices
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, Recording, ValenceArousalNet
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
@pytest.mark.parametrize("bias", [False, True])
def test_quantisation_stays_near_the_float_reference(target: str, bias: bool) -> None:
    lower, neuron = LOWER[target]
    net, x = network(neuron, bias=bias), spikes()
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


def test_a_bias_drives_loihi_as_it_drives_the_network() -> None:
    """Through u the network's bias settles at bias / (1 - alpha); put into v as it is, the chip would fire less."""
    net, silence = network(CUBA, bias=True, pool=1), torch.zeros(200, 1, 2, 16, 16)
    with torch.no_grad():
        net.layers[0].synapse.bias.fill_(0.12)
    program = loihi.lower(net, "loihi2", spikes())
    chip = fake_quantised_spikes(program, silence)["conv1"].mean()
    recording = Recording()
    with torch.no_grad():
        net(silence, recording)
    assert float(chip) == pytest.approx(float(recording.spikes["conv1"].mean()), rel=0.05)


@pytest.mark.parametrize("a_in", [2**17, -(2**17), 2**17 - 2, 2**17 + 2])
def test_u_wraps_at_its_edges_as_on_the_emulator(a_in: int) -> None:
    """One graded spike of weight 2 or -2 brings u to its edge and beyond."""
    link = Connection("dense", np.array([[2 if a_in > 0 else -2]], np.int32))
    layer = Layer("dense1", (1, 1, 1), (1, 1, 1), link, LoihiNeuron(4095, 0, 1000, np.zeros(1, np.int32)))
    readout = Readout(np.zeros((2, 1), np.float32), np.zeros(2, np.float32), 0.5)
    program = ChipProgram("loihi2", 1000, InputEncoding((1, 1, 1), "counts"), (layer,), readout)
    x = np.full((1, 1, 1, 1), abs(a_in) // 2)
    ours = devices.run(program, x, "emulator").spikes["dense1"].total
    assert ours == int(fake_quantised_spikes(program, torch.as_tensor(x)[:, None])["dense1"].sum())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bias", [False, True])
def test_a_network_that_the_chip_holds_exactly_loses_no_spike(seed: int, bias: bool) -> None:
    """Eighths and a threshold of 1 without leak: every other spike is a tie, v at the threshold and not above it."""
    rng = torch.Generator().manual_seed(seed)
    layers = (LayerSpec("conv", 6, Neuron(), (3, 3), bias=bias), LayerSpec("dense", 8, Neuron(), bias=bias))
    net = ValenceArousalNet(NetworkSpec("any", layers, (2, 7, 7), outputs=None)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randint(-3, 5, parameter.shape, generator=rng) / 8)
        if bias:
            net.layers[0].synapse.bias.fill_(1 / 8)
            net.layers[1].synapse.bias.zero_()
    x = (torch.rand(80, 1, 2, 7, 7, generator=rng) < 0.2).float()
    program = loihi.lower(net, "loihi2", x)
    recording = Recording()
    with torch.no_grad():
        net(
            torch.cat([torch.zeros_like(x[:1]), x]), recording
        )  # the chip has had a step of bias when the input arrives
    chip = devices.run(program, x[:, 0].numpy().astype(np.uint8), "emulator").spikes
    above = [replace(layer, neuron=replace(layer.neuron, vth=layer.neuron.vth + 1)) for layer in program.layers]
    wrong = fake_quantised_spikes(replace(program, layers=tuple(above)), x)
    for name, spikes_of in recording.spikes.items():
        fired = spikes_of[1:]
        assert fired.sum() > 50
        assert np.array_equal(chip[name].dense(80, program.dt_us), fired[:, 0].numpy())
        assert not torch.equal(wrong[name].float(), fired)


FOLDED = {
    "unequal strides and padding": ((2, 12, 12), {"kernel": (3, 2), "stride": (1, 2), "padding": (1, 0)}),
    "groups": ((2, 12, 12), {"kernel": (3, 3), "stride": (2, 1), "padding": (1, 1), "groups": 2}),
    "dilation": ((2, 14, 12), {"kernel": (3, 2), "stride": (1, 2), "padding": (1, 0), "dilation": (2, 3)}),
    "an odd map without padding": ((2, 13, 11), {"kernel": (3, 2), "stride": (2, 1)}),
    "an odd map, padded where it is heard": ((2, 13, 13), {"kernel": (2, 2), "stride": (4, 4), "padding": (1, 1)}),
}


@pytest.mark.parametrize("case", FOLDED)
def test_pooling_is_folded_into_any_convolution_exactly(case: str) -> None:
    """The chip's weights on unpooled spikes against torch's pooling and convolution with the weights before."""
    shape, geometry = FOLDED[case]
    torch.manual_seed(3)
    layers = (LayerSpec("conv", 4, CUBA, (1, 1), pool=2), LayerSpec("conv", 6, CUBA, **geometry))
    net = ValenceArousalNet(NetworkSpec("any", layers, shape, outputs=None)).eval()
    x = (torch.rand(20, 1, *shape) < 0.3).float()
    program = loihi.lower(net, "loihi2", x)
    link, scale = program.layers[1].connection, program.provenance["calibration_scales"][1]
    sent = (torch.rand(5, *program.layers[0].out_shape) < 0.4).double()
    synapse = net.layers[1].synapse
    words = torch.as_tensor(quantize.loihi_weight(synapse.weight.detach().double().numpy(), scale)).double()
    pooled = 4 * functional.avg_pool2d(sent, 2)
    wanted = functional.conv2d(pooled, words, None, synapse.stride, synapse.padding, synapse.dilation, synapse.groups)
    given = functional.conv2d(
        sent, torch.as_tensor(link.weight).double(), None, link.stride, link.padding, link.dilation, link.groups
    )
    assert wanted.abs().sum() > 0
    assert torch.equal(given, wanted)
    assert program.layers[1].out_shape == tuple(wanted.shape[1:])


def test_padding_that_would_hear_what_pooling_drops_is_refused() -> None:
    layers = (LayerSpec("conv", 4, CUBA, (1, 1), pool=2), LayerSpec("conv", 6, CUBA, (3, 3), padding=(1, 1)))
    net = ValenceArousalNet(NetworkSpec("any", layers, (2, 12, 13), outputs=None)).eval()
    with pytest.raises(NeuvaError, match=r"^conv2: a map of 12x13 is pooled by 2 .*padding \(1, 1\)"):
        loihi.lower(net, "loihi2", torch.ones(5, 1, 2, 12, 13))


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
