"""From one chip to the other: the neuron each has, the same synapses, each layer as active as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from conversion import loihi, speck
from conversion.retarget import LEAST_RATE, retarget, start_from
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, Recording, ValenceArousalNet
from snn.baselines import ConvGruNet, ConvGruSpec, Convolution
from snn.networks import scale_to_rate
from snn.training import AffectTraining, Recipe

CUBA = Neuron(0.3, 0.8)
LOIHI = NetworkSpec(
    "loihi",
    (LayerSpec("conv", 6, CUBA, (3, 3), (2, 2), (1, 1), learn=("alpha", "beta")), LayerSpec("dense", 24, CUBA)),
    (2, 12, 12),
    readout_tau_us=100_000,
)
SPECK = retarget(LOIHI, "speck")


def counts() -> torch.Tensor:
    return torch.poisson(torch.full((40, 3, 2, 12, 12), 0.15), generator=torch.Generator().manual_seed(5))


def rates(net: ValenceArousalNet, x: torch.Tensor) -> dict[str, float]:
    recording = Recording()
    with torch.no_grad():
        net(x, recording)
    return {name: float(spikes.mean()) for name, spikes in recording.spikes.items()}


def trained(spec: NetworkSpec, path: Path, share: float = 1.0) -> ValenceArousalNet:
    torch.manual_seed(3)
    module = AffectTraining(spec.to_dict(), {"steps": 1})
    scale_to_rate(module.net, counts().clamp(max=1), 0.06)  # type: ignore[arg-type]
    with torch.no_grad():
        for layer in module.net.layers:
            layer.synapse.weight.mul_(share)
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}, path)
    assert isinstance(module.net, ValenceArousalNet)
    return module.net


def test_each_chip_gets_the_neuron_it_has() -> None:
    assert (SPECK.target, SPECK.encoding, SPECK.layers[0].learn) == ("speck", "counts", ())
    assert SPECK.layers[0].neuron == replace(CUBA, alpha=0.0, beta=1.0, low=-1.0, multi_spike=True)
    back = retarget(SPECK, "loihi")
    assert (back.target, back.encoding) == ("loihi", "binary")
    assert back.layers[0].neuron == Neuron(0.0, 1.0)
    assert retarget(LOIHI, "loihi") is LOIHI
    by_subtraction = replace(SPECK, layers=(replace(SPECK.layers[0], neuron=Neuron(reset="subtract", low=-2.0)),))
    assert retarget(by_subtraction, "loihi").layers[0].neuron == Neuron()


@pytest.mark.parametrize(("spec", "lower", "chip"), [(SPECK, speck.lower, "speck2f"), (LOIHI, loihi.lower, "loihi2")])
def test_what_comes_out_can_be_lowered(spec: NetworkSpec, lower, chip: str) -> None:
    other = retarget(retarget(spec, "loihi" if spec is SPECK else "speck"), spec.target)  # type: ignore[arg-type]
    net = ValenceArousalNet(other)
    scale_to_rate(net, counts().clamp(max=1))
    assert lower(net, chip, counts().clamp(max=1)).target == chip


@pytest.mark.parametrize(("begun", "wanted"), [(LOIHI, SPECK), (SPECK, LOIHI)])
def test_weights_come_over_and_fire_as_before(begun: NetworkSpec, wanted: NetworkSpec, tmp_path: Path) -> None:
    source = trained(begun, tmp_path / "source.ckpt")
    torch.manual_seed(9)
    net = ValenceArousalNet(wanted)
    x = counts() if wanted is SPECK else counts().clamp(max=1)
    start_from(net, tmp_path / "source.ckpt", x)
    before = rates(source, counts().clamp(max=1))
    after = rates(net, x)
    for name, rate in after.items():
        assert rate == pytest.approx(before[name], rel=0.05)
    for ours, theirs in zip(net.layers, source.layers, strict=True):
        ratio = ours.synapse.weight / theirs.synapse.weight
        assert torch.allclose(ratio, ratio.flatten()[0], rtol=1e-4)
    assert torch.equal(net.readout.map.weight, source.readout.map.weight)


def test_the_same_specification_takes_all_as_it_is(tmp_path: Path) -> None:
    source = trained(LOIHI, tmp_path / "source.ckpt")
    net = ValenceArousalNet(LOIHI)
    start_from(net, tmp_path / "source.ckpt", counts())
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in net.state_dict().items())


def test_another_step_keeps_the_readouts_time_constant(tmp_path: Path) -> None:
    source = trained(LOIHI, tmp_path / "source.ckpt")
    net = ValenceArousalNet(replace(SPECK, dt_us=10_000, every=4))
    start_from(net, tmp_path / "source.ckpt", counts())
    assert net.readout.decay.item() ** 2 == pytest.approx(source.readout.decay.item(), rel=1e-5)


def test_other_layers_are_refused_by_name(tmp_path: Path) -> None:
    trained(LOIHI, tmp_path / "source.ckpt")
    wider = replace(SPECK, layers=(replace(SPECK.layers[0], channels=8), SPECK.layers[1]))
    with pytest.raises(NeuvaError, match=r"source\.ckpt: populations\.0\.synapse\.weight is \(8, 2, 3, 3\) .* \(6, 2"):
        start_from(ValenceArousalNet(wider), tmp_path / "source.ckpt", counts())


def test_a_silent_layer_is_woken(tmp_path: Path) -> None:
    source = trained(LOIHI, tmp_path / "source.ckpt", share=1e-3)
    assert not any(rates(source, counts().clamp(max=1)).values())
    net = ValenceArousalNet(SPECK)
    start_from(net, tmp_path / "source.ckpt", counts())
    assert all(rate == pytest.approx(LEAST_RATE, rel=0.2) for rate in rates(net, counts()).values())


def test_another_size_of_a_yardstick_is_said_as_such(tmp_path: Path) -> None:
    spec = ConvGruSpec("conv_gru", (Convolution(4),), 8, 8, (2, 12, 12))
    module = AffectTraining(spec.to_dict(), {"steps": 1})
    path = tmp_path / "source.ckpt"
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}, path)
    start_from(ConvGruNet(spec), path, counts())
    with pytest.raises(NeuvaError, match="starts only from its equal; hidden is 8 there and 9 here"):
        start_from(ConvGruNet(replace(spec, hidden=9)), path, counts())
    with pytest.raises(NeuvaError, match="kind conv_gru cannot start one of kind spiking"):
        start_from(ValenceArousalNet(LOIHI), path, counts())


def test_it_learns_faster_than_afresh(tmp_path: Path) -> None:
    """Two rates say valence and arousal; a network for Loihi has learnt it, one for Speck begins from that one."""

    def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        g = torch.Generator().manual_seed(seed)
        goal = torch.rand(8, 2, generator=g) * 2 - 1
        x = (torch.rand(40, 8, 2, 12, 12, generator=g) < (goal + 1)[None, :, :, None, None] * 0.15).float()
        return x, goal.expand(20, 8, 2).contiguous(), torch.ones(20, 8, dtype=torch.bool)

    def fit(module: AffectTraining, steps: int) -> float:
        module.log = lambda *_, **__: None  # type: ignore[method-assign]
        optimizer, losses = torch.optim.AdamW(module.parameters(), 0.01), []
        for seed in range(steps):
            loss = module.training_step(batch(seed))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return sum(losses[-6:]) / 6

    recipe = Recipe(steps=40, warm_up=4)
    torch.manual_seed(0)
    source = AffectTraining.fresh(LOIHI, recipe, batch(0)[0])
    fit(source, 30)
    torch.save({"state_dict": source.state_dict(), "hyper_parameters": dict(source.hparams)}, tmp_path / "source.ckpt")
    torch.manual_seed(1)
    afresh = AffectTraining.fresh(SPECK, recipe, batch(0)[0])
    begun = AffectTraining.fresh(SPECK, recipe, batch(0)[0])
    start_from(begun.net, tmp_path / "source.ckpt", batch(0)[0])
    assert fit(begun, 6) < 0.7 * fit(afresh, 6)
