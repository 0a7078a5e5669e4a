"""Training on the chip's grid: the grid's own numbers, straight gradients, and the integers that lowering makes."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from conversion import chip_aware, loihi, quantize, speck
from conversion.fake_quant import fake_quantised_spikes
from conversion.on_grid import Decay, LoihiBias, OnGrid, Words
from hardware.program import LoihiNeuron
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, Recording, ValenceArousalNet
from snn.layers import Spiking
from snn.networks import scale_to_rate

CUBA = Neuron(0.3, 0.9)
SPECK = Neuron(low=-1.0, multi_spike=True, width=0.5)
NEURONS = {"loihi2": CUBA, "speck2f": SPECK}
GRIDS = {
    "loihi2": (quantize.loihi_weight, (2, quantize.LOIHI_WEIGHT_MIN, quantize.LOIHI_WEIGHT_MAX)),
    "speck2f": (quantize.speck_weight, (1, quantize.SPECK_WEIGHT_MIN, quantize.SPECK_WEIGHT_MAX)),
}
LOWER = {"loihi2": loihi.lower, "speck2f": speck.lower}


def spikes(steps: int = 24) -> torch.Tensor:
    return (torch.rand(steps, 3, 2, 12, 12, generator=torch.Generator().manual_seed(5)) < 0.15).float()


def network(neuron: Neuron, seed: int = 7, bias: bool = False, learn: tuple = ()) -> ValenceArousalNet:
    torch.manual_seed(seed)
    layers = (
        LayerSpec("conv", 4, neuron, (3, 3), (1, 1), (1, 1), bias=bias, pool=2, learn=learn),
        LayerSpec("conv", 6, neuron, (3, 3), (2, 2), (1, 1), bias=bias),
        LayerSpec("dense", 12, neuron, bias=bias, learn=learn),
    )
    net = ValenceArousalNet(NetworkSpec("any", layers, (2, 12, 12)))
    scale_to_rate(net, spikes(), 0.15)
    return net


def attached(net: ValenceArousalNet, target: str) -> ValenceArousalNet:
    chip_aware.attach(net, target, chip_aware.choose_scales(net, target, spikes()))
    return net


def train(net: ValenceArousalNet, steps: int = 4) -> None:
    goal = torch.linspace(-1, 1, 12)[:, None, None].expand(12, 3, 2)
    optimizer = torch.optim.AdamW(net.parameters(), 0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        (net(spikes()) - goal).square().mean().backward()
        optimizer.step()


def fired(net: ValenceArousalNet, x: torch.Tensor) -> dict[str, torch.Tensor]:
    recording = Recording()
    with torch.no_grad():
        net(x, recording)
    return recording.spikes


@pytest.mark.parametrize("target", GRIDS)
@given(
    weight=hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-3, 3, width=32)), scale=st.floats(0.5, 2000)
)
def test_the_grid_is_lowerings(target: str, weight: np.ndarray, scale: float) -> None:
    grid, constants = GRIDS[target]
    words = Words(scale, *constants)
    image = words.image(torch.as_tensor(weight)).numpy()
    assert np.array_equal(image, grid(weight.astype(np.float64), scale))
    again = words.plain(torch.as_tensor(weight)).numpy()
    assert np.array_equal(grid(again.astype(np.float64), scale), image)


def test_a_grid_without_an_image_cannot_be_made() -> None:
    with pytest.raises(TypeError, match=r"abstract.*image"):
        OnGrid()


def test_known_values_and_what_plain_rounding_would_give() -> None:
    weight = torch.tensor([100.9, 101.0, 103.0, -101.1, 300, -300])
    even = Words(1.0, 2, -256, 254).image(weight)
    assert even.tolist() == [100, 100, 104, -102, 254, -256]
    assert even.tolist() != torch.round(weight).clamp(-256, 254).tolist()
    assert Words(1.0, 1, -128, 127).image(torch.tensor([0.5, 1.5, -200])).tolist() == [0, 2, -128]


def test_the_gradient_goes_straight_through_in_the_grids_unit() -> None:
    weight = torch.tensor([0.101, -0.3, 5.0], requires_grad=True)
    (Words(10.0, 2, -256, 254)(weight) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == pytest.approx([10, 20, 30])


@given(st.floats(0.001, 0.999), st.sampled_from(["alpha", "beta"]))
def test_a_learnt_decay_lies_on_the_twelve_bit_grid(decay: float, name: str) -> None:
    grid = Decay(name)
    logit = torch.logit(torch.tensor(decay))
    rounded = float(torch.sigmoid(grid.image(logit)))
    assert rounded * 4096 == pytest.approx(round(rounded * 4096), abs=1e-2)
    assert abs(rounded - decay) <= 1 / 8192 + 1e-6
    word = quantize.loihi_du if name == "alpha" else quantize.loihi_dv
    assert word(rounded) == word(float(torch.sigmoid(logit)))


@given(hnp.arrays(np.float32, 5, elements=st.floats(-2, 2, width=32)), st.floats(1, 500))
def test_a_loihi_bias_is_lowered_to_the_words_trained_with(bias: np.ndarray, scale: float) -> None:
    layer = Spiking(torch.nn.Linear(3, 5), CUBA)
    grid = LoihiBias(scale, layer, CUBA.alpha)
    image = grid.image(torch.as_tensor(bias)).numpy()
    words, _ = quantize.loihi_bias(grid.plain(torch.as_tensor(bias)).double().numpy() / 0.7, scale)
    assert image == pytest.approx(words * 0.7 / 64, rel=1e-5)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10_000), st.sampled_from(list(NEURONS)), st.booleans())
def test_lowering_makes_the_integers_that_were_trained(seed: int, target: str, bias: bool) -> None:
    """Whatever became of the largest weight, on which lowering's own choice of a scale would rest."""
    neuron = NEURONS[target]
    net = network(neuron, seed, bias, learn=("alpha", "beta") if target == "loihi2" else ())
    scales = chip_aware.choose_scales(net, target, spikes())
    chip_aware.attach(net, target, scales)
    train(net, 1)
    with torch.no_grad():
        weight = net.layers[0].synapse.parametrizations["weight"].original  # type: ignore[index]
        weight[weight.abs() > 0.8 * weight.abs().max()] *= 0.8
        trained = [layer.synapse.weight.clone() for layer in net.layers]
    thresholds = [int(layer.neuron.threshold) for layer in net.layers]
    decays = [(layer.neuron.alpha, layer.neuron.beta) for layer in net.layers]
    biases = [layer.synapse.bias.detach().clone() for layer in net.layers] if bias else []
    chip_aware.remove(net)
    program = LOWER[target](net, target, spikes())
    assert program.provenance["calibration_errors"] == [0, 0, 0]
    for index, layer in enumerate(program.layers):
        words = layer.connection.weight
        if target == "loihi2" and index == 1:  # pooling before it was folded in
            words = words[:, :, ::2, ::2]
        assert np.array_equal(words.reshape(trained[index].shape), trained[index].numpy())
        if isinstance(layer.neuron, LoihiNeuron):
            assert layer.neuron.vth == thresholds[index]
            alpha, beta = decays[index]
            assert quantize.loihi_alpha(layer.neuron.du) == pytest.approx(alpha, abs=1e-6)
            assert quantize.loihi_beta(layer.neuron.dv) == pytest.approx(beta, abs=1e-6)
            if bias:
                assert biases[index].numpy() == pytest.approx(layer.neuron.bias * (1 - alpha) / 64, rel=1e-5)
        else:
            assert layer.neuron.threshold == thresholds[index]
            assert not bias or np.array_equal(layer.neuron.bias, biases[index].numpy())


EXACT = {
    "speck reset to zero": ("speck2f", SPECK, True),
    "speck reset by subtraction": ("speck2f", replace(SPECK, reset="subtract"), True),
    "loihi without leak": ("loihi2", Neuron(), False),
}


@pytest.mark.parametrize("case", EXACT)
def test_the_trained_network_fires_as_the_integer_network_does(case: str) -> None:
    target, neuron, bias = EXACT[case]
    net = attached(network(neuron, bias=bias), target)
    train(net)
    ours = fired(net, spikes(60))
    plain = copy.deepcopy(net)
    chip_aware.remove(plain)
    theirs = fake_quantised_spikes(LOWER[target](plain, target, spikes()), spikes(60))
    for name, chip in theirs.items():
        assert chip.sum() > 0
        assert torch.equal(ours[name], chip.float())


@pytest.mark.parametrize(
    ("neuron", "bias", "threshold", "vth", "chip"),
    [
        (Neuron(), 0.0, 508, 507, [0, 1, 0, 1, 0, 1]),  # v is whole: above 507 is from 508 on, as the network has it
        (Neuron(), 0.5, 509, 509, [0, 0, 1, 0, 0, 1]),
        (Neuron(0.0, 0.5), 0.0, 254, 254, [0, 1, 0, 1, 0, 1]),
    ],
)
def test_loihi_fires_above_its_threshold_and_so_does_the_attached_network(
    neuron: Neuron, bias: float, threshold: int, vth: int, chip: list[int]
) -> None:
    """A weight of 254 and a bias that bring v to the threshold and no further."""
    net = ValenceArousalNet(NetworkSpec("loihi", (LayerSpec("dense", 1, neuron, bias=bias > 0),), (1, 1, 1)))
    with torch.no_grad():
        for parameter, words in zip(net.layers[0].synapse.parameters(), (254, bias), strict=False):
            parameter.fill_(words / threshold)
    x = torch.ones(6, 1, 1, 1, 1)
    chip_aware.attach(net, "loihi2", [float(threshold)])
    assert fired(net, x)["dense1"].flatten().tolist() == chip
    chip_aware.remove(net)
    program = loihi.lower(net, "loihi2", x)
    assert program.layers[0].neuron.vth == vth  # type: ignore[union-attr]
    if not bias:  # of which the chip has had a step when the input arrives
        assert fake_quantised_spikes(program, x)["dense1"].flatten().tolist() == chip


def test_where_loihi_truncates_the_spikes_are_nearly_the_same() -> None:
    net = network(CUBA, learn=("alpha", "beta"))
    float_spikes = fired(net, spikes(60))
    attached(net, "loihi2")
    ours = fired(net, spikes(60))
    chip_aware.remove(net)
    program = loihi.lower(net, "loihi2", spikes())
    theirs = fake_quantised_spikes(program, spikes(60))
    for name, chip in theirs.items():
        apart = float((ours[name] != chip).float().mean())
        assert apart < 0.005
        assert apart < 0.2 * float((float_spikes[name] != chip).float().mean())


@pytest.mark.parametrize("target", NEURONS)
def test_attached_in_full_precision_gives_the_floats_gradients(target: str) -> None:
    """Scaling a layer as a whole changes nothing: with a grid as fine as floats the gradients are the plain ones."""
    net = network(NEURONS[target])
    net(spikes()).square().sum().backward()
    plain = {name: parameter.grad.clone() for name, parameter in net.named_parameters()}  # type: ignore[union-attr]
    net.zero_grad()
    attached(net, target)
    for layer, spec in zip(net.layers, net.spec.layers, strict=True):
        words = layer.synapse.parametrizations["weight"][0]  # type: ignore[index]
        words.step, words.low, words.high = 1e-6, -1e9, 1e9
        fine = replace(layer._neuron, alpha=spec.neuron.alpha, beta=spec.neuron.beta, threshold=words.unit)
        layer._neuron = fine
    net(spikes()).square().sum().backward()
    for name, parameter in net.named_parameters():
        ours, theirs = parameter.grad, plain[name.replace(".parametrizations.", ".").removesuffix(".original")]
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))  # type: ignore[arg-type]


@pytest.mark.parametrize("target", NEURONS)
def test_parameters_stay_the_same_objects_and_names_come_back(target: str) -> None:
    net = network(NEURONS[target], bias=True, learn=("alpha",) if target == "loihi2" else ())
    before, raw = dict(net.named_parameters()), {k: v.clone() for k, v in net.state_dict().items()}
    attached(net, target)
    assert {id(parameter) for parameter in net.parameters()} == {id(parameter) for parameter in before.values()}
    assert all(torch.equal(raw[key], value) for key, value in chip_aware.raw_state(net).items())
    plain = {key: value.clone() for key, value in chip_aware.plain_state(net).items()}
    chip_aware.remove(net)
    assert not chip_aware.is_attached(net)
    after = dict(net.named_parameters())
    assert all(after[name] is parameter for name, parameter in before.items())
    assert all(torch.equal(plain[key], value) for key, value in net.state_dict().items())
    assert plain.keys() == raw.keys()
    assert [layer._neuron for layer in net.layers] == [layer.neuron for layer in net.spec.layers]
    chip_aware.remove(net)


def test_attaching_again_after_removing_changes_nothing() -> None:
    net = attached(network(CUBA), "loihi2")
    chip_aware.remove(net)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    attached(net, "loihi2")
    chip_aware.remove(net)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_a_network_that_the_chip_lacks_or_that_is_attached_is_refused() -> None:
    with pytest.raises(NeuvaError, match="conv1: Speck has no leak"):
        chip_aware.choose_scales(network(CUBA), "speck2f", spikes())
    with pytest.raises(NeuvaError, match='unknown target "tpu"'):
        chip_aware.choose_scales(network(CUBA), "tpu", spikes())
    net = attached(network(CUBA), "loihi2")
    with pytest.raises(NeuvaError, match="attached to a chip already"):
        chip_aware.attach(net, "loihi2", (1, 1, 1))


@given(st.integers(20, 3000), st.sampled_from([1.0, 0.3, 2.5]), st.sampled_from(list(GRIDS)), st.integers(0, 99))
def test_the_scale_of_a_grid_is_found_and_none_where_there_is_none(
    whole: int, threshold: float, target: str, seed: int
) -> None:
    grid, constants = GRIDS[target]
    rng = np.random.default_rng(seed)
    words = grid(rng.normal(size=200) * 60, 1.0)
    words[:2] = constants[0], 50 * constants[0]  # no common factor beyond the grid's
    weight = (words / (whole / threshold)).astype(np.float32).astype(np.float64)
    largest = constants[2]
    assert quantize.scale_of_grid(weight, threshold, grid, largest, np.inf) == pytest.approx(whole / threshold)
    assert quantize.scale_of_grid(weight, threshold, grid, largest, whole / threshold / 2) is None
    assert quantize.scale_of_grid(rng.normal(size=200), threshold, grid, largest, np.inf) is None
    assert quantize.scale_of_grid(np.zeros(5), threshold, grid, largest, np.inf) is None
