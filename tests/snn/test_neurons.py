"""Neurons: the definition against closed forms, snnTorch, norse and sinabs, and every kernel against the definition."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from neuva import NeuvaError
from snn import kernels
from snn.neurons import Neuron, define
from snn.surrogates import SURROGATES, surrogate

DECAYS = [(0.0, 1.0), (0.0, 0.9), (0.7, 0.9)]
ALL = [
    Neuron(alpha, beta, 1.0, reset, low, multi, kind, 0.8)
    for (alpha, beta), reset, low, multi, kind in itertools.product(
        DECAYS, ["zero", "subtract"], [None, -1.0], [False, True], SURROGATES
    )
]


def currents(seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(40, 3, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_if_fires_every_third_step_on_a_third_of_its_threshold() -> None:
    spikes, _ = define(Neuron(threshold=0.75), torch.full((9, 1, 1), 0.25))
    assert spikes.flatten().tolist() == [0, 0, 1] * 3


def test_lif_membrane_has_the_closed_form_of_a_geometric_sum() -> None:
    _, (_, v) = define(Neuron(beta=0.8, threshold=100), torch.ones(7, 1, 1, dtype=torch.float64))
    assert v.item() == pytest.approx((1 - 0.8**7) / (1 - 0.8), abs=1e-12)


def test_cuba_impulse_response_is_a_difference_of_exponentials() -> None:
    alpha, beta, steps = 0.6, 0.9, 12
    x = torch.zeros(steps, 1, 1, dtype=torch.float64)
    x[0] = 1
    _, (_, v) = define(Neuron(alpha, beta, threshold=100), x)
    assert v.item() == pytest.approx((beta**steps - alpha**steps) / (beta - alpha), abs=1e-12)


def test_several_spikes_a_step_conserve_charge() -> None:
    x = torch.rand(50, 2, 3, dtype=torch.float64) * 4
    spikes, (_, v) = define(Neuron(reset="subtract", multi_spike=True), x)
    assert torch.allclose(spikes.sum(0) + v, x.sum(0))
    assert spikes.max() > 1


def test_lower_bound_holds_after_every_step() -> None:
    _, (_, v) = define(Neuron(low=-0.5), torch.full((5, 1, 1), -1.0))
    assert v.item() == -0.5


@pytest.mark.parametrize("neuron", ALL, ids=str)
def test_cpu_kernel_equals_the_definition(neuron: Neuron) -> None:
    slow, fast = currents().requires_grad_(), currents().requires_grad_()
    grads = [currents(k) for k in (1, 2, 3)]
    for run, x in ((define, slow), (kernels.run, fast)):
        spikes, (u, v) = run(neuron, x)
        ((spikes * grads[0]).sum() + (u * grads[1][0]).sum() + (v * grads[2][0]).sum()).backward()
    left, right = define(neuron, slow), kernels.run(neuron, fast)
    assert torch.equal(left[0], right[0])
    assert torch.equal(left[1][0], right[1][0])
    assert torch.equal(left[1][1], right[1][1])
    assert torch.allclose(slow.grad, fast.grad, rtol=1e-5, atol=1e-5 * slow.grad.abs().max().item())


@pytest.mark.parametrize("neuron", ALL, ids=str)
def test_gradients_of_learnt_decays_equal_the_definition(neuron: Neuron) -> None:
    begin = tuple(currents(k, torch.float64)[0] for k in (4, 5))
    grads = [currents(k, torch.float64) for k in (1, 2, 3)]
    found = []
    for run in (define, kernels.run):
        decays = torch.tensor([0.6, 0.85], dtype=torch.float64, requires_grad=True)
        spikes, (u, v) = run(neuron, currents(dtype=torch.float64), begin, decays)
        ((spikes * grads[0]).sum() + (u * grads[1][0]).sum() + (v * grads[2][0]).sum()).backward()
        found.append(decays.grad)
    assert torch.allclose(*found, rtol=1e-9)
    assert not torch.allclose(found[0], found[0].flip(0), rtol=1e-5)


def test_a_kernel_without_the_reset_would_be_noticed() -> None:
    x = currents().abs()
    assert not torch.equal(define(Neuron(), x)[0], kernels.run(Neuron(reset="subtract"), x)[0])


@pytest.mark.parametrize("run", [define, kernels.run])
def test_two_calls_with_carried_state_equal_one_long_call(run) -> None:
    neuron, x = Neuron(0.5, 0.9), currents()
    whole, end = run(neuron, x)
    first, state = run(neuron, x[:17])
    second, state = run(neuron, x[17:], state)
    assert torch.equal(whole, torch.cat([first, second]))
    assert torch.equal(end[1], state[1])


@pytest.mark.parametrize("kind", SURROGATES)
def test_surrogates_peak_at_the_threshold_with_one_over_width(kind: str) -> None:
    d = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    h = surrogate(d, kind, 0.5)
    assert h.max().item() == pytest.approx(2.0)
    assert d[h.argmax()].abs() <= 0.25
    if kind in ("triangular", "rectangular"):
        assert torch.trapezoid(h, d).item() == pytest.approx(1.0, abs=1e-2)


def test_gradient_without_spikes_is_that_of_the_linear_filter() -> None:
    """With the threshold out of reach the network is linear, so finite differences hold for the state's gradient."""
    neuron = Neuron(0.6, 0.8, threshold=1e6, surrogate="rectangular")
    x = torch.randn(6, 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: kernels.run(neuron, x)[1], (x,))


def test_gradient_of_an_isolated_step_is_the_surrogate() -> None:
    x = torch.linspace(-1, 3, 9, dtype=torch.float64).view(1, 1, 9).requires_grad_()
    kernels.run(Neuron(surrogate="arctan", width=0.5), x)[0].sum().backward()
    expected = 1 / (0.5 * (1 + (math.pi * (x.detach() - 1) / 0.5) ** 2))
    assert torch.allclose(x.grad, expected)


def test_same_spikes_as_snntorch() -> None:
    snntorch = pytest.importorskip("snntorch")
    for reset in ("zero", "subtract"):
        theirs = snntorch.Leaky(beta=0.9, threshold=1.0, reset_mechanism=reset, reset_delay=False)
        x, mem, spikes = (
            currents().clamp(max=0.9),
            theirs.reset_mem(),
            [],
        )  # theirs subtracts twice from 2 thresholds on
        for current in x:
            spike, mem = theirs(current, mem)
            spikes.append(spike)
        ours = kernels.run(Neuron(beta=0.9, reset=reset), x)[0]  # type: ignore[arg-type]
        assert torch.equal(ours, torch.stack(spikes).detach())


@pytest.mark.filterwarnings("ignore")  # norse warns of its own use of torch.jit
def test_same_spikes_as_norse() -> None:
    norse = pytest.importorskip("norse.torch.functional.iaf")
    parameters = norse.IAFParameters(v_th=torch.as_tensor(1.0), v_reset=torch.as_tensor(0.0))
    x = currents()
    state, spikes = norse.IAFFeedForwardState(v=torch.zeros_like(x[0])), []
    for current in x:
        spike, state = norse.iaf_feed_forward_step(current, state, parameters)
        spikes.append(spike)
    assert torch.equal(kernels.run(Neuron(), x)[0], torch.stack(spikes))


@pytest.mark.parametrize("multi", [True, False])
def test_same_spikes_as_sinabs(multi: bool) -> None:
    from sinabs.activation import MembraneSubtract, MultiSpike, SingleSpike
    from sinabs.layers import IAF

    theirs = IAF(
        spike_threshold=torch.tensor(1.0),
        spike_fn=MultiSpike if multi else SingleSpike,
        reset_fn=MembraneSubtract(),
        min_v_mem=-1.0,
    )
    neuron = Neuron(reset="subtract", low=-1.0, multi_spike=multi)
    x = currents()
    assert torch.equal(kernels.run(neuron, x)[0], theirs(x.transpose(0, 1)).transpose(0, 1))


@pytest.mark.parametrize(
    "bad",
    [{"alpha": 1.5}, {"beta": -0.1}, {"threshold": 0.0}, {"low": 0.5}, {"reset": "soft"}, {"surrogate": "sine"}],
)
def test_impossible_constants_are_refused(bad: dict) -> None:
    with pytest.raises(NeuvaError):
        Neuron(**bad)
