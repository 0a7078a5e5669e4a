"""The network: shapes, streaming, gradients, first weights; losses and metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional import concordance_corrcoef

from conversion.quantize import loihi_du, loihi_dv
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, Recording, ValenceArousalNet
from snn.layers import TraceReadout
from snn.losses import ccc, concordance_loss
from snn.metrics import affect_metrics
from snn.networks import scale_to_rate

NEURON = Neuron(0.5, 0.9)
SPEC = NetworkSpec(
    target="loihi",
    layers=(
        LayerSpec("conv", 4, NEURON, (3, 3), (2, 2), (1, 1), pool=2),
        LayerSpec("dense", 8, NEURON),
    ),
    input_shape=(2, 16, 16),
)


def spikes(steps: int = 20) -> torch.Tensor:
    return (torch.rand(steps, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0)) < 0.2).float()


def network() -> ValenceArousalNet:
    torch.manual_seed(0)
    net = ValenceArousalNet(SPEC)
    scale_to_rate(net, spikes(), 0.1)
    return net


def test_shapes_and_names() -> None:
    recording = Recording()
    net = network()
    assert net(spikes(), recording).shape == (10, 3, 2)
    assert {name: tuple(s.shape) for name, s in recording.spikes.items()} == {
        "conv1": (20, 3, 4, 8, 8),
        "dense2": (20, 3, 8, 1, 1),
    }


def test_stretches_of_input_give_what_one_long_call_gives() -> None:
    net, x = network(), spikes()
    whole = net(x)
    first, state = net.stream(x[:8], None)
    second, _ = net.stream(x[8:], state)
    assert torch.allclose(whole, torch.cat([first, second]), atol=1e-6)


def test_every_weight_gets_a_gradient() -> None:
    net = network()
    net(spikes()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_layers_start_at_the_rate_asked_for() -> None:
    reached = scale_to_rate(network(), spikes(), 0.12)
    assert all(rate == pytest.approx(0.12, abs=0.03) for rate in reached.values())


def test_layers_start_at_rates_of_their_own_and_the_nearest_tried_is_kept() -> None:
    wanted = {"conv1": 0.2, "dense2": 0.05}
    assert scale_to_rate(network(), spikes(), wanted) == pytest.approx(wanted, abs=0.01)


def test_a_rate_out_of_reach_is_an_error_that_names_the_layer() -> None:
    net = network()
    with torch.no_grad():
        net.layers[1].synapse.weight.copy_(-net.layers[1].synapse.weight.abs())
    with pytest.raises(NeuvaError, match=r"dense2 cannot fire at 0\.1 spikes .*: it reaches 0 with its weights"):
        scale_to_rate(net, spikes(), 0.1)


def test_a_layer_that_saturates_below_its_rate_gets_no_boundless_weights() -> None:
    net = network()
    before = net.layers[1].synapse.weight.clone()
    reached = scale_to_rate(net, spikes(), {"conv1": 0.1, "dense2": 0.45})["dense2"]
    assert 0.225 <= reached < 0.3  # most of its neurons have too little to excite them
    assert net.layers[1].synapse.weight.abs().max() / before.abs().max() < 2**10


def test_specification_survives_plain_values() -> None:
    assert NetworkSpec.from_dict(SPEC.to_dict()) == SPEC
    with pytest.raises(NeuvaError, match="not a network specification"):
        NetworkSpec.from_dict({"layers": [], "colour": "blue"})


def test_a_network_that_shrinks_to_nothing_is_refused() -> None:
    layers = (LayerSpec("conv", 4, NEURON, (3, 3), (8, 8), pool=4),)
    with pytest.raises(NeuvaError, match="nothing is left"):
        ValenceArousalNet(NetworkSpec("loihi", layers, (2, 16, 16)))


def test_readout_is_the_geometric_sum_of_past_spikes() -> None:
    readout = TraceReadout(1, 0.5, every=2).double()
    with torch.no_grad():
        readout.map.weight.fill_(1.0)
        readout.map.bias.fill_(0.25)
    s = torch.ones(4, 1, 1, dtype=torch.float64)
    out, _ = readout(s)
    assert out[:, 0, 0].tolist() == pytest.approx([1.5 + 0.25, 1.875 + 0.25])


def test_ccc_equals_torchmetrics_and_closed_form() -> None:
    p, t = torch.randn(50, 2, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float64)
    unbiased = concordance_corrcoef(p, t)
    # torchmetrics takes sample moments in the denominator's variances and covariance alike
    assert torch.allclose(ccc(p, t), unbiased, atol=0.02)
    assert torch.allclose(ccc(t, t), torch.ones(2, dtype=torch.float64))
    shifted = 2 * t.var(0, unbiased=False) / (2 * t.var(0, unbiased=False) + 1)
    assert torch.allclose(ccc(t + 1, t), shifted)
    assert not torch.allclose(ccc(t + 1, t), torch.ones(2, dtype=torch.float64))  # a mere correlation would be 1


def test_masked_labels_do_not_count() -> None:
    p, t = torch.randn(6, 2, 2), torch.randn(6, 2, 2)
    mask = torch.rand(6, 2) < 0.7
    spoilt = torch.where(mask[..., None], t, torch.full_like(t, -5))
    assert concordance_loss(p, t, mask, 0.3) == concordance_loss(p, spoilt, mask, 0.3)
    assert concordance_loss(p, t, torch.zeros(6, 2, dtype=torch.bool)) == 0


def test_metrics_are_pooled_and_undefined_ones_said() -> None:
    t = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    metrics = affect_metrics(t * 0.5, t)
    assert metrics.pcc_valence == pytest.approx(1)
    assert metrics.ccc_valence is not None
    assert metrics.ccc_valence < 0.9
    assert metrics.rmse_arousal == pytest.approx(np.sqrt(np.mean((t[:, 1] / 2) ** 2)))
    assert metrics.sagr_valence == 1
    constant = np.column_stack([np.full(40, 0.3), t[:, 1]])
    assert affect_metrics(t, constant).ccc_valence is None
    assert affect_metrics(t, constant).ccc is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_estimates_that_are_no_numbers_have_no_metrics(bad: float) -> None:
    t = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    spoilt = t.copy()
    spoilt[3, 1] = bad
    with pytest.raises(NeuvaError, match=r"1 of 40 estimates are no finite numbers.*with a smaller learning rate$"):
        affect_metrics(spoilt, t)
    assert affect_metrics(spoilt, t, np.arange(40) != 3).ccc == pytest.approx(1)
    with pytest.raises(NeuvaError, match="nothing to score"):
        affect_metrics(t, t, np.zeros(40, bool))


def test_icc_equals_the_analysis_of_variance_and_sagr_its_zero_rule() -> None:
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, (50, 2))
    p = 0.6 * t + rng.normal(0, 0.3, t.shape) + 0.2
    metrics = affect_metrics(p, t)
    ratings = np.column_stack([p[:, 0], t[:, 0]])  # two-way, raters fixed: Shrout and Fleiss's case 3
    rows, columns = ratings.mean(1, keepdims=True), ratings.mean(0, keepdims=True)
    between = 2 * ((rows - ratings.mean()) ** 2).sum() / 49
    residual = ((ratings - rows - columns + ratings.mean()) ** 2).sum() / 49
    assert metrics.icc_valence == pytest.approx((between - residual) / (between + residual))
    assert metrics.icc_valence != pytest.approx(metrics.ccc_valence, abs=0.01)  # the offset counts in one alone
    zero = affect_metrics(np.array([[0.1, 0.0], [0.2, 0.1]]), np.array([[0.0, 0.0], [0.1, -0.1]]))
    assert (zero.sagr_valence, zero.sagr_arousal) == (0.5, 0.5)


def test_learnt_decays_move_and_travel_with_the_network() -> None:
    spec = NetworkSpec("loihi", (LayerSpec("dense", 6, Neuron(0.5, 0.9), learn=("alpha", "beta")),), (2, 4, 4))
    net = ValenceArousalNet(spec)
    x = (torch.rand(20, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    optimiser = torch.optim.SGD(net.parameters(), lr=1.0)
    net(x).sum().backward()
    optimiser.step()
    neuron = net.layers[0].neuron
    assert 0 < neuron.alpha < 1
    assert 0 < neuron.beta < 1
    assert (neuron.alpha, neuron.beta) != (0.5, 0.9)
    fixed = LayerSpec("dense", 6, neuron)
    twin = ValenceArousalNet(NetworkSpec("loihi", (fixed,), (2, 4, 4)))
    twin.load_state_dict({k: v for k, v in net.state_dict().items() if "logits" not in k})
    assert torch.equal(twin(x), net(x))


def test_a_decay_of_one_cannot_be_learnt() -> None:
    with pytest.raises(NeuvaError, match=r"beta = 1\.0 cannot be learnt"):
        ValenceArousalNet(NetworkSpec("speck", (LayerSpec("dense", 2, Neuron(), learn=("beta",)),), (2, 4, 4)))


@pytest.mark.parametrize("logit", [-30.0, -8.4, -1.0, 0.0, 2.2, 8.4, 30.0])
def test_learnt_decays_are_bounded_to_what_a_12_bit_decay_holds(logit: float) -> None:
    layer = ValenceArousalNet(
        NetworkSpec("loihi", (LayerSpec("dense", 6, Neuron(0.5, 0.9), learn=("alpha", "beta")),), (2, 4, 4))
    ).layers[0]
    with torch.no_grad():
        for parameter in layer.logits.values():
            parameter.fill_(logit)
    neuron = layer.neuron
    assert layer.decays.tolist() == [neuron.alpha, neuron.beta]
    on_chip = (4095 - loihi_du(neuron.alpha)) / 4096, (4096 - loihi_dv(neuron.beta)) / 4096
    assert on_chip == pytest.approx((neuron.alpha, neuron.beta), abs=1 / 8192 + 1e-7)
    unbounded = torch.sigmoid(torch.tensor(30.0)).item()
    assert (4095 - loihi_du(unbounded)) / 4096 != pytest.approx(unbounded, abs=1 / 8192)
