"""sinabs' scaling rule: its own code on random networks, closed form, wrong variants."""

from __future__ import annotations

import numpy as np
import pytest

from conversion.sinabs_rule import Integers, sinabs_integers, sinabs_scale
from hardware.speck.samna_guard import dynapcnn

torch = pytest.importorskip("torch")
sinabs_layers = pytest.importorskip("sinabs.layers")

NETWORKS = range(200)


def random_layer(seed: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Weights, biases, threshold and lower bound of any size and sign, each of which limits the scale sometimes."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(side) for side in (rng.integers(1, 9), rng.integers(1, 5), *2 * [rng.integers(1, 5)]))
    weight = rng.normal(rng.normal(), 1, shape) * 10 ** rng.uniform(-2, 2)
    if rng.random() < 0.2:
        weight = np.abs(weight) * rng.choice([-1, 1])
    bias = rng.normal(0, 1, shape[0]) * 10 ** rng.uniform(-3, 2) * (rng.random() < 0.6)
    threshold, low = 10 ** rng.uniform(-2, 4), -(10 ** rng.uniform(-2, 4)) * (rng.random() < 0.8)
    return weight.astype(np.float32), bias.astype(np.float32), float(np.float32(threshold)), float(np.float32(low))


def by_sinabs(weight: np.ndarray, bias: np.ndarray, threshold: float, low: float) -> Integers:
    convolution = torch.nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], bias=bool(bias.any()))
    convolution.weight.data = torch.from_numpy(weight)
    if bias.any():
        convolution.bias.data = torch.from_numpy(bias)
    spiking = sinabs_layers.IAFSqueeze(
        batch_size=1, spike_threshold=torch.tensor(threshold), min_v_mem=torch.tensor(low)
    )
    dynapcnn()
    from sinabs.backend.dynapcnn.discretize import discretize_conv_spike

    convolution, spiking = discretize_conv_spike(convolution, spiking, to_int=True)
    words = convolution.weight.detach().numpy().astype(int)
    biases = convolution.bias.detach().numpy().astype(int) if bias.any() else np.zeros(len(bias), int)
    return Integers(words, biases, int(spiking.spike_threshold), int(spiking.min_v_mem))


def same(ours: Integers, theirs: Integers) -> bool:
    return all(np.array_equal(mine, other) for mine, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("seed", NETWORKS)
def test_integers_equal_sinabs(seed: int) -> None:
    layer = random_layer(seed)
    ours, theirs = sinabs_integers(*layer), by_sinabs(*layer)
    np.testing.assert_array_equal(ours.weight, theirs.weight)
    np.testing.assert_array_equal(ours.bias, theirs.bias)
    assert (ours.threshold, ours.low) == (theirs.threshold, theirs.low)


@pytest.mark.parametrize("seed", range(20))
def test_integers_equal_those_of_sinabs_whole_network(seed: int) -> None:
    """Its network is traced with random input first, which must not leave a state that limits the scale."""
    modules, layers = [], [random_layer(2 * seed), random_layer(2 * seed + 1)]
    channels = layers[0][0].shape[1]
    for weight, bias, threshold, low in layers:
        kernel = np.repeat(weight[:, :1], channels, axis=1)
        modules.append(torch.nn.Conv2d(channels, len(kernel), kernel.shape[2:], padding=3, bias=bool(bias.any())))
        modules[-1].weight.data = torch.from_numpy(kernel)
        if bias.any():
            modules[-1].bias.data = torch.from_numpy(bias)
        thresholds = {"spike_threshold": torch.tensor(threshold), "min_v_mem": torch.tensor(low)}
        modules.append(sinabs_layers.IAFSqueeze(batch_size=1, **thresholds))
        channels = len(kernel)
    network = dynapcnn().DynapcnnNetwork(
        torch.nn.Sequential(*modules), input_shape=(modules[0].in_channels, 8, 8), batch_size=1, discretize=True
    )
    for index, (module, (_, bias, threshold, low)) in enumerate(zip(modules[::2], layers, strict=True)):
        found, theirs = sinabs_integers(module.weight.detach().numpy(), bias, threshold, low), network.dynapcnn_layers
        np.testing.assert_array_equal(found.weight, theirs[index].conv.weight.detach().numpy())
        if bias.any():
            np.testing.assert_array_equal(found.bias, theirs[index].conv.bias.detach().numpy())
        assert found.threshold == int(theirs[index].spk.spike_threshold)
        assert found.low == int(theirs[index].spk.min_v_mem)


def test_weights_biases_and_threshold_each_limit_the_scale_sometimes() -> None:
    limits = set()
    for seed in NETWORKS:
        weight, bias, threshold, low = random_layer(seed)
        scale = sinabs_scale(weight, bias, threshold, low)
        nothing = np.zeros(1, np.float32)
        alone = {
            "weight": sinabs_scale(weight, nothing, 1e-9, 0),
            "bias": sinabs_scale(nothing, bias, 1e-9, 0),
            "threshold": sinabs_scale(nothing, nothing, threshold, low),
        }
        limits.add(min(alone, key=alone.__getitem__))
        assert scale == min(alone.values())
    assert limits == {"weight", "bias", "threshold"}


@pytest.mark.parametrize(
    ("weight", "bias", "threshold", "low", "scale"),
    [
        ([-1.0, 2.0], [0.0], 1.0, -1.0, 63.5),  # 127 / 2
        ([-2.0, 1.0], [0.0], 1.0, -1.0, 64.0),  # -128 / -2
        ([1.0], [-2.0, 0.0], 1.0, -1.0, 64.0),  # the bias drags the weight to 64 levels
        ([-2.0], [0.0], 1.0, -1.0, 63.5),  # where all are negative sinabs leaves the last level out
        ([1.0], [0.0], 32767.0, -1.0, 1.0),
        ([1.0], [0.0], 1.0, -32768.0, 1.0),  # what min_v_mem=None comes to
    ],
)
def test_scale_in_closed_form(weight: list, bias: list, threshold: float, low: float, scale: float) -> None:
    assert sinabs_scale(np.array(weight), np.array(bias), threshold, low) == scale


def test_halves_are_rounded_to_even() -> None:
    found = sinabs_integers(np.array([127.0, 0.5, 1.5, -2.5]), np.array([0.0]), 2.5, -3.5)
    assert found.weight.tolist() == [127, 0, 2, -2]
    assert (found.threshold, found.low) == (2, -4)


@pytest.mark.parametrize("variant", ["half up", "symmetric", "weights alone"])
def test_wrong_variants_do_not_match(variant: str) -> None:
    def wrong(weight: np.ndarray, bias: np.ndarray, threshold: float, low: float) -> Integers:
        scale = sinabs_scale(weight, bias, threshold, low)
        if variant == "symmetric":
            scale = min(scale, np.float32(127) / np.abs(weight).max())
        if variant == "weights alone":
            scale = sinabs_scale(weight, np.zeros(1), 1e-9, 0)
        rounded = (lambda v: np.floor(v + 0.5)) if variant == "half up" else np.rint
        return Integers(*(rounded(np.float32(v) * scale).astype(int) for v in (weight, bias, threshold, low)))

    halves = (np.array([[[[127.0, 0.5, 2.5]]]], np.float32), np.zeros(1, np.float32), 100.0, -100.0)
    cases = [halves, *(random_layer(seed) for seed in range(40))]
    assert any(not same(wrong(*case), by_sinabs(*case)) for case in cases)
    assert all(same(sinabs_integers(*case), by_sinabs(*case)) for case in cases)
