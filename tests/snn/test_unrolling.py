"""Stretches of a window: the same result, the same gradient where nothing is cut, less memory."""

from __future__ import annotations

import pytest
import torch

from snn import LayerSpec, NetworkSpec, Neuron, ValenceArousalNet
from snn.baselines import ConvGruNet, ConvGruSpec, Convolution
from snn.networks import scale_to_rate
from snn.unrolling import estimate, unroll

CUBA = Neuron(0.5, 0.9)


def window() -> torch.Tensor:
    drawn = torch.rand(22, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (drawn < 0.2).double()


def spiking() -> ValenceArousalNet:
    torch.manual_seed(0)
    layers = (
        LayerSpec("conv", 4, CUBA, (3, 3), (2, 2), (1, 1), pool=2, learn=("alpha", "beta")),
        LayerSpec("dense", 8, CUBA),
    )
    net = ValenceArousalNet(NetworkSpec("loihi", layers, (2, 16, 16))).double()
    scale_to_rate(net, window(), 0.1)
    return net


def recurrent() -> ConvGruNet:
    torch.manual_seed(0)
    return ConvGruNet(ConvGruSpec("conv_gru", (Convolution(4),), 8, 6, (2, 16, 16))).double()


def gradients(net, checkpoint_steps: int, truncate_steps: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    net.zero_grad()
    estimates, rates = unroll(net, window(), checkpoint_steps, truncate_steps)
    loss = estimates.square().sum() + sum(rate.square().sum() for rate in rates.values())
    loss.backward()
    return estimates.detach(), [p.grad.clone() for p in net.parameters()]


@pytest.mark.parametrize("make", [spiking, recurrent])
@pytest.mark.parametrize("steps", [2, 8, 22, 100])
def test_checkpointing_changes_neither_result_nor_gradient(make, steps: int) -> None:
    net = make()
    (whole, expected), (parts, found) = gradients(net, 0, 0), gradients(net, steps, 0)
    assert torch.equal(whole, net(window()).detach())
    assert torch.allclose(parts, whole, rtol=1e-12)
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("make", [spiking, recurrent])
def test_truncation_keeps_the_result_and_cuts_the_gradient(make) -> None:
    net = make()
    (whole, expected), (parts, cut) = gradients(net, 0, 0), gradients(net, 0, 8)
    assert torch.allclose(parts, whole, rtol=1e-12)
    assert any(not torch.allclose(a, b, rtol=1e-3) for a, b in zip(expected, cut, strict=True))
    both = gradients(net, 4, 8)[1]
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(cut, both, strict=True))


def test_a_truncated_gradient_is_that_of_windows_begun_from_given_states() -> None:
    net = spiking()
    cut = gradients(net, 0, 8)[1]
    net.zero_grad()
    state, x = None, window()
    for start in (0, 8, 16):
        estimates, state = net.stream(x[start : start + 8], None if state is None else state.detach())
        estimates.square().sum().backward(retain_graph=True)
    readout = [p.grad for p in net.readout.parameters()]
    assert all(torch.allclose(a, b, rtol=1e-9) for a, b in zip(readout, cut[-len(readout) :], strict=True))


@pytest.mark.parametrize("make", [spiking, recurrent])
@pytest.mark.parametrize("stretch", [1, 7, 512])
def test_a_whole_clip_is_estimated_in_stretches(make, stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net, x, stream = make(), window(), make().stream
    steps: list[int] = []

    def counted(part: torch.Tensor, state: object) -> tuple:
        steps.append(len(part))
        return stream(part, state)  # type: ignore[arg-type]

    monkeypatch.setattr(net, "stream", counted)
    found = estimate(net, x.to(torch.uint8), stretch)
    assert torch.allclose(found, make()(x).clamp(-1, 1), rtol=1e-12)
    assert max(steps) == min(max(2, stretch - stretch % 2), 22)
    assert sum(steps) == 22


def held_bytes(checkpoint_steps: int) -> int:
    """Bytes that a forward pass has taken and not given back while its result waits for the gradient."""
    net, x = spiking(), window()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        waiting = unroll(net, x, checkpoint_steps)
    assert len(waiting[0]) == 11
    return sum(event.self_cpu_memory_usage for event in profiler.events())


def test_checkpointing_holds_less_memory() -> None:
    whole, stretches = held_bytes(0), held_bytes(2)
    assert whole > 22 * 3 * (4 * 8 * 8 + 8) * 8  # at least the membranes of all steps
    assert stretches < 0.4 * whole


def test_rates_are_mean_spikes_a_neuron_and_step() -> None:
    from snn import Recording

    net, recording = spiking(), Recording()
    net(window(), recording)
    for steps in (0, 8):
        _, rates = unroll(net, window(), steps)
        assert all(torch.allclose(rates[name], recording.spikes[name].mean((0, 1))) for name in recording.spikes)
