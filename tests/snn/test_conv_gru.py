"""The yardstick: size, contract, streaming, checkpoints, and that it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from neuva import NeuvaError
from snn.baselines import ConvGruNet, ConvGruSpec, Convolution
from snn.building import build_network, require_spiking, spec_from_dict
from snn.networks import NetworkSpec, Recording, ValenceArousalNet
from snn.training import AffectTraining, Recipe, load_network, load_spiking

SPEC = ConvGruSpec("conv_gru", (Convolution(4, pool=2), Convolution(6, (3, 3), (1, 1))), 10, 8, (2, 16, 16))
CONFIGS = Path(__file__).parents[2] / "experiments" / "configs"


def configured(name: str) -> torch.nn.Module:
    return build_network(spec_from_dict(yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["network"]))


def frames(steps: int = 20) -> torch.Tensor:
    return (torch.rand(steps, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0)) < 0.2).float()


def test_it_has_the_parameters_and_the_convolutions_of_the_base_network() -> None:
    yardstick, base = configured("faces-yardstick"), configured("faces-loihi2-base")
    counts = [sum(p.numel() for p in net.parameters()) for net in (yardstick, base)]
    assert counts[0] == pytest.approx(counts[1], rel=0.05)
    ours, theirs = (
        [tuple(m.weight.shape) for m in net.modules() if isinstance(m, torch.nn.Conv2d)] for net in (yardstick, base)
    )
    assert ours == theirs


def test_it_has_the_contract_of_the_spiking_network() -> None:
    net, recording = ConvGruNet(SPEC), Recording()
    assert net(frames(), recording).shape == (10, 3, 2)
    assert recording.spikes == {}


def test_stretches_of_input_give_what_one_long_call_gives() -> None:
    net, x = ConvGruNet(SPEC), frames()
    first, state = net.stream(x[:8], None)
    second, _ = net.stream(x[8:], state)
    assert torch.allclose(net(x), torch.cat([first, second]), atol=1e-6)


def test_an_estimate_hears_nothing_of_later_steps() -> None:
    net, x = ConvGruNet(SPEC), frames()
    later = x.clone()
    later[12:] = 1
    assert torch.allclose(net(x)[:6], net(later)[:6])
    assert not torch.allclose(net(x)[6:], net(later)[6:])


def test_specifications_survive_plain_values_and_old_ones_are_spiking() -> None:
    assert spec_from_dict(SPEC.to_dict()) == SPEC
    spec = configured("faces-loihi2-tiny").spec
    old = {key: value for key, value in spec.to_dict().items() if key != "kind"}
    assert spec_from_dict(old) == spec
    assert isinstance(build_network(NetworkSpec.from_dict(old)), ValenceArousalNet)
    with pytest.raises(NeuvaError, match='kind "lstm" is not known'):
        spec_from_dict({"kind": "lstm"})
    with pytest.raises(NeuvaError, match="not a network specification"):
        spec_from_dict({"kind": "conv_gru", "colour": "blue"})


def test_convolutions_that_leave_nothing_are_refused() -> None:
    with pytest.raises(NeuvaError, match="nothing is left"):
        ConvGruNet(ConvGruSpec("conv_gru", (Convolution(2, pool=16),), 4, 4, (2, 16, 16)))


def test_its_checkpoint_comes_back_and_no_chip_takes_it(tmp_path) -> None:
    module = AffectTraining.fresh(SPEC, Recipe(steps=1), frames())
    path = tmp_path / "net.ckpt"
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}, path)
    net = load_network(path)
    assert torch.equal(net(frames()), module.net(frames()))
    with pytest.raises(NeuvaError, match="does not spike"):
        require_spiking(net)
    with pytest.raises(NeuvaError, match="does not spike"):
        load_spiking(path)


def test_a_few_steps_learn_what_rates_say() -> None:
    torch.manual_seed(0)
    module = AffectTraining.fresh(SPEC, Recipe(steps=80, warm_up=2), frames())
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    optimiser, losses = torch.optim.AdamW(module.parameters(), 0.01), []
    for seed in range(80):
        g = torch.Generator().manual_seed(seed)
        target = torch.rand(6, 2, generator=g) * 2 - 1
        x = (torch.rand(16, 6, 2, 16, 16, generator=g) < (target + 1)[None, :, :, None, None] * 0.2).float()
        loss = module.training_step((x, target.expand(8, 6, 2), torch.ones(8, 6, dtype=torch.bool)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 0.3 * losses[0]
