"""Training on a task that has an answer, and checkpoints that are safe to read."""

from __future__ import annotations

import pytest
import torch

from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron
from snn.training import AffectTraining, Recipe, load_network

NEURON = Neuron(0.3, 0.8)
SPEC = NetworkSpec("loihi", (LayerSpec("dense", 24, NEURON),), (2, 4, 4), readout_tau_us=60_000)


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Spike rates of the two polarities carry valence and arousal."""
    g = torch.Generator().manual_seed(seed)
    target = torch.rand(6, 2, generator=g) * 2 - 1
    rate = (target + 1)[None, :, :, None, None] * 0.2
    x = (torch.rand(40, 6, 2, 4, 4, generator=g) < rate).float()
    return x, target.expand(20, 6, 2).contiguous(), torch.ones(20, 6, dtype=torch.bool)


def test_a_few_steps_learn_what_rates_say() -> None:
    torch.manual_seed(0)
    module = AffectTraining.fresh(SPEC, Recipe(steps=60, learning_rate=0.02, warm_up=4), batch(0)[0])
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer = torch.optim.AdamW(module.parameters(), 0.02)
    losses = []
    for seed in range(60):
        loss = module.training_step(batch(seed))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) / 10 < 0.5 * losses[0]


def test_checkpoint_gives_the_network_back(tmp_path) -> None:
    module = AffectTraining(SPEC.to_dict(), {"steps": 1})
    path = tmp_path / "net.ckpt"
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}, path)
    net = load_network(path)
    assert net.spec == SPEC
    x = batch(0)[0]
    assert torch.equal(net(x), module.net(x))


class Evil:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize("content", ["missing", "garbage", "empty", "foreign", "pickle"])
def test_what_is_no_checkpoint_is_one_clear_line(content: str, tmp_path, capsys) -> None:
    path = tmp_path / "net.ckpt"
    if content == "garbage":
        path.write_bytes(b"\x80garbage")
    elif content == "empty":
        path.write_bytes(b"")
    elif content == "foreign":
        torch.save({"weights": torch.zeros(2)}, path)
    elif content == "pickle":
        torch.save({"hyper_parameters": Evil(), "state_dict": {}}, path)
    with pytest.raises(NeuvaError, match=r"net\.ckpt") as caught:
        load_network(path)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_recipes_that_cannot_be_are_refused() -> None:
    with pytest.raises(NeuvaError, match=r"recipe\.rate_floor = -1"):
        Recipe(rate_floor=-1)
    with pytest.raises(NeuvaError, match="multiple of checkpoint_steps = 8"):
        Recipe(checkpoint_steps=8, truncate_steps=12)
    with pytest.raises(NeuvaError, match=r"recipe\.checkpoint_steps = 5 must be a multiple of network\.every = 2"):
        AffectTraining(SPEC.to_dict(), {"checkpoint_steps": 5})


def step(**recipe: float) -> float:
    torch.manual_seed(0)
    module = AffectTraining.fresh(SPEC, Recipe(steps=1, warm_up=4, rate_weight=0, **recipe), batch(0)[0])
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    return module.training_step(batch(0)).item()


def test_penalties_are_added_with_their_weights() -> None:
    plain = step()
    assert step(checkpoint_steps=8, truncate_steps=16) == pytest.approx(plain, abs=1e-5)
    for penalty, weight in (({"rate_floor": 0.5}, "silence_weight"), ({"synops_budget": 1.0}, "synops_weight")):
        one, two = (step(**penalty, **{weight: share}) - plain for share in (0.1, 0.2))
        assert one > 0
        assert two == pytest.approx(2 * one, rel=1e-3)
