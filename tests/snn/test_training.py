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
