"""Loihi's ranges: an exponent where a weight needs one, a clear line where none helps, read-outs behind pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conversion import loihi, quantize
from conversion.calibration import clippings
from conversion.fake_quant import fake_quantised_estimates, fake_quantised_spikes
from conversion.fitting import fit_neurons
from hardware import devices
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, Recording, ValenceArousalNet
from snn.networks import scale_to_rate


def spikes() -> torch.Tensor:
    return (torch.rand(30, 2, 2, 8, 8, generator=torch.Generator().manual_seed(5)) < 0.15).float()


def network(*layers: LayerSpec, outputs: tuple[str, ...] | None = None) -> ValenceArousalNet:
    torch.manual_seed(3)
    return ValenceArousalNet(NetworkSpec("any", layers, (2, 8, 8), every=1, outputs=outputs)).eval()


def chip(program, x: torch.Tensor) -> torch.Tensor:
    runs = [devices.run(program, x[:, k].numpy().astype(np.uint8), "emulator") for k in range(x.shape[1])]
    name = program.layers[-1].name
    return torch.stack([torch.as_tensor(run.spikes[name].dense(len(x), program.dt_us)) for run in runs], 1)


@pytest.mark.parametrize(("ratio", "exponent"), [(1, 0), (256, 0), (257, 1), (512, 1), (513, 2), (256 << 7, 7)])
def test_the_least_exponent_that_holds_a_weight(ratio: float, exponent: int) -> None:
    assert quantize.loihi_exponent(np.array([0.5 * ratio, -0.1]), 0.5) == exponent


@pytest.mark.parametrize("largest", [200.0, 1000.0, 20_000.0])
def test_weights_far_above_the_threshold_keep_their_weight(largest: float) -> None:
    """An inhibition of many thresholds is outlasted by as much excitation, no less; clipped to 256 it would not be."""
    net = network(LayerSpec("dense", 1, Neuron(0.0, 1.0)))
    with torch.no_grad():
        net.layers[0].synapse.weight.zero_()
        net.layers[0].synapse.weight[0, 0], net.layers[0].synapse.weight[0, 1] = -largest, largest / 10
    x = torch.zeros(40, 1, 2, 8, 8)
    x[0, 0, 0, 0, 0] = 1
    x[1:, 0, 0, 0, 1] = 1
    program = loihi.lower(net, "loihi2", x)
    assert program.layers[0].connection.weight_exp == quantize.loihi_exponent(np.array([largest]), 1.0)
    recording = Recording()
    with torch.no_grad():
        net(x, recording)
    wanted = int(recording.spikes["dense1"].sum())
    assert wanted in (29, 30)
    assert abs(int(chip(program, x).sum()) - wanted) <= 2  # of the 39 that clipping would leave 38 of


def test_one_weight_far_out_does_not_cost_all_others_their_grid() -> None:
    net, x = network(LayerSpec("dense", 8, Neuron(0.0, 0.9))), spikes()
    scale_to_rate(net, x, 0.1)
    with torch.no_grad():
        net.layers[0].synapse.weight[0, 0] = -900.0
    program, recording = loihi.lower(net, "loihi2", x), Recording()
    assert program.layers[0].connection.weight_exp == 0
    with torch.no_grad():
        net(x, recording)
    assert (chip(program, x) != recording.spikes["dense1"]).float().mean() < 0.02
    (told,) = clippings(program)
    weight, scale = net.layers[0].synapse.weight, program.provenance["calibration_scales"][0]
    assert told.severity == "warning"
    assert told.measured.startswith(f"{1 / weight.numel():.2g} of its weights are clipped")
    assert told.measured.endswith(f"to 1/{900 * scale / 256:.3g} of itself")


def test_small_weights_that_round_to_nothing_are_not_clipped() -> None:
    net = network(LayerSpec("dense", 8, Neuron(0.0, 0.9)))
    with torch.no_grad():
        net.layers[0].synapse.weight[:, 1:] *= 1e-5
    program = loihi.lower(net, "loihi2", spikes())
    assert (program.layers[0].connection.weight == 0).any()
    assert clippings(program) == []


@pytest.mark.parametrize(
    ("kind", "largest", "threshold"), [("dense", 256 << 7, 0.99), ("conv", 257.0, 1.0), ("dense", 1.0, 140_000.0)]
)
def test_a_range_that_no_exponent_holds_is_refused(kind: str, largest: float, threshold: float) -> None:
    net = network(LayerSpec(kind, 3, Neuron(0.0, 0.9, threshold), (3, 3)))  # type: ignore[arg-type]
    with torch.no_grad():
        net.layers[0].synapse.weight.mul_(largest / net.layers[0].synapse.weight.abs().max())
    with pytest.raises(NeuvaError, match=f"{kind}1: its largest weight.*no exponent holds") as caught:
        loihi.lower(net, "loihi2", spikes())
    assert "\n" not in str(caught.value)


def test_a_bias_beyond_its_words_lowers_the_scale() -> None:
    net = network(LayerSpec("conv", 3, Neuron(0.0, 0.9), (3, 3), bias=True))
    with torch.no_grad():
        net.layers[0].synapse.bias.copy_(torch.tensor([-60.0, 0.1, 0.0]))
    neuron = loihi.lower(net, "loihi2", spikes()).layers[0].neuron
    assert neuron.bias[0] / (neuron.vth << 6) == pytest.approx(-60, rel=1e-3)  # type: ignore[union-attr]


@pytest.mark.parametrize("outputs", [None, ("a", "b", "c")])
def test_levels_agree_without_readout_and_with_one_of_any_size(outputs: tuple[str, ...] | None) -> None:
    neuron = Neuron(0.4, 0.9)
    pool = 1 if outputs is None else 2
    net = network(LayerSpec("conv", 4, neuron, (3, 3), padding=(1, 1), pool=pool), outputs=outputs)
    x = spikes()
    scale_to_rate(net, x, 0.1)
    program = loihi.lower(net, "loihi2", x)
    quantised = fake_quantised_spikes(program, x)
    assert torch.equal(chip(program, x), quantised["conv1"])
    if outputs is None:
        assert program.readout is None
        return
    assert program.readout is not None
    assert program.readout.names == outputs
    # pooling behind the last layer went into the map: the same traces as of the pooled spikes
    with torch.no_grad():
        wanted, _ = net.readout(net.layers[0].send(quantised["conv1"].float()).flatten(2))  # type: ignore[misc]
    assert torch.allclose(fake_quantised_estimates(program, quantised).float(), wanted, atol=1e-4)
    assert wanted.abs().max() > 0.01


def test_neurons_nobody_trained_for_the_chip_become_the_nearest_and_it_is_said() -> None:
    net = network(LayerSpec("dense", 5, Neuron(0.0, 0.9, reset="subtract", multi_spike=True, low=-2.0)))
    fitted, found = fit_neurons(net, "loihi")
    assert fitted.layers[0].neuron == Neuron(0.0, 0.9)
    assert [finding.measured for finding in found] == [
        "reset subtract",
        "lower bound -2.0",
        "several spikes a step yes",
    ]
    assert net.layers[0].neuron.reset == "subtract"
    on_speck, found = fit_neurons(network(LayerSpec("dense", 5, Neuron())), "speck")
    assert on_speck.layers[0].neuron == Neuron(low=-1.0, multi_spike=True)
    assert len(found) == 2
    assert fit_neurons(on_speck, "speck") == (on_speck, [])
