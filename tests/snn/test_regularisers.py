"""Penalties: closed forms, synaptic operations as the chips' emulators count them, and which way gradients push."""

from __future__ import annotations

import pytest
import torch

from conversion import loihi, speck
from hardware import devices
from hardware.check import check
from snn import LayerSpec, NetworkSpec, Neuron, ValenceArousalNet
from snn.layers import Spiking
from snn.networks import scale_to_rate
from snn.regularisers import excess_rate, fan_out, over_budget, silence, synaptic_operations
from snn.unrolling import unroll

CUBA = Neuron(0.5, 0.9)
IF = Neuron(low=-1.0, multi_spike=True, width=0.5)


def network(target: str) -> ValenceArousalNet:
    torch.manual_seed(0)
    neuron = CUBA if target == "loihi" else IF
    layers = (
        LayerSpec("conv", 5, neuron, (5, 5), (2, 2), (2, 2)),
        LayerSpec("conv", 6, neuron, (3, 3), (1, 1), (1, 1), pool=2),
        LayerSpec("dense", 7, neuron),
    )
    encoding = "binary" if target == "loihi" else "counts"
    net = ValenceArousalNet(NetworkSpec(target, layers, (2, 16, 16), encoding))  # type: ignore[arg-type]
    scale_to_rate(net, counts(target), 0.1)
    return net


def counts(target: str) -> torch.Tensor:
    drawn = torch.rand(20, 2, 2, 16, 16, generator=torch.Generator().manual_seed(1))
    binary = (drawn < 0.2).float()
    return binary if target == "loihi" else binary * torch.ceil(drawn * 15)


@pytest.mark.parametrize(
    "synapse",
    [
        torch.nn.Conv2d(2, 3, 3, 2, 1),
        torch.nn.Conv2d(2, 4, 3, 1, 0, 2, groups=2),
        torch.nn.Conv2d(2, 3, (3, 5), (1, 2), (1, 2)),
        torch.nn.Linear(2 * 7 * 9, 3),
    ],
    ids=str,
)
def test_fan_out_is_what_one_spike_at_a_place_reaches(synapse) -> None:
    layer = Spiking(synapse, CUBA)
    torch.nn.init.ones_(layer.synapse.weight)
    torch.nn.init.zeros_(layer.synapse.bias)
    expected = torch.empty(2, 7, 9)
    for place in torch.cartesian_prod(torch.arange(2), torch.arange(7), torch.arange(9)):
        x = torch.zeros(1, 1, 2, 7, 9)
        x[(0, 0, *place)] = 1
        expected[tuple(place)] = layer.current(x).sum().detach()
    assert torch.equal(fan_out(layer, torch.Size((2, 7, 9))), expected)


@pytest.mark.parametrize(
    ("target", "chip", "lower"), [("loihi", "loihi2", loihi.lower), ("speck", "speck2f", speck.lower)]
)
def test_operations_are_what_the_emulator_counts_for_the_same_spikes(target, chip, lower) -> None:
    net, x = network(target), counts(target)
    program = check(lower(net, chip, x)).program
    traces = devices.run_many(program, [x[:, k].numpy().astype("uint8") for k in range(2)], "emulator")
    rates = {
        layer.name: sum(torch.as_tensor(trace.spikes[layer.name].dense(20, program.dt_us).sum(0)) for trace in traces)
        / 40.0
        for layer in program.layers
    }
    counted = sum(core.synops for trace in traces for core in trace.counts) / sum(len(t.times) for t in traces)
    assert synaptic_operations(net, x, rates).item() == pytest.approx(counted, rel=1e-5)
    per_place = sum(layer.synapse.weight.numel() for layer in net.layers)  # a count without borders and strides
    assert counted != pytest.approx(per_place * x.mean().item(), rel=0.1)


def test_closed_forms() -> None:
    rates = {"a": torch.tensor([[[0.0, 0.05, 0.1, 0.25]]]), "b": torch.tensor([[[0.3, 0.5]]])}
    assert excess_rate(rates, 0.1).item() == pytest.approx(0 + 0.3)  # means 0.1 and 0.4
    assert silence(rates, 0.1).item() == pytest.approx((1 + 0.5) / 6)
    assert silence({"a": torch.zeros(2, 2, 2)}, 0.01).item() == 1
    assert over_budget(torch.tensor(150.0), 100).item() == pytest.approx(0.5)
    assert over_budget(torch.tensor(50.0), 100).item() == 0


def descend(penalty, rate: float, steps: int = 25) -> tuple[float, float]:
    """A penalty's value before and after a few steps down its gradient."""
    net, x = network("loihi"), counts("loihi")
    scale_to_rate(net, x, rate)
    optimiser, values = torch.optim.Adam(net.parameters(), 0.01), []
    for _ in range(steps):
        value = penalty(net, x, unroll(net, x)[1])
        values.append(value.item())
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    return values[0], values[-1]


def test_the_budget_pulls_operations_down_to_it_and_no_further() -> None:
    start = synaptic_operations(network("loihi"), counts("loihi"), unroll(network("loihi"), counts("loihi"))[1]).item()
    budget = 0.7 * start
    before, after = descend(lambda net, x, rates: over_budget(synaptic_operations(net, x, rates), budget), 0.1, 60)
    assert before == pytest.approx(1 / 0.7 - 1, rel=0.2)
    assert after < 0.1 * before
    net, x = network("loihi"), counts("loihi")
    over_budget(synaptic_operations(net, x, unroll(net, x)[1]), 2 * start).backward()
    assert all(p.grad is None or not p.grad.any() for p in net.parameters())


def test_the_floor_wakes_silent_neurons() -> None:
    before, after = descend(lambda _, __, rates: silence(rates, 0.02), 0.005)
    assert before > 0.3
    assert after < 0.6 * before
