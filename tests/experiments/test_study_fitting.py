"""What jobs share: epochs that learn and repeat, and files of weights that are only data."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from experiments.studies.fitting import epochs, read_weights, save_weights, seeded
from neuva import NeuvaError


def quiet(*_: object) -> None:
    pass


def line(seed: int, count: int = 30, **options) -> tuple[list[float], torch.nn.Linear, list[tuple]]:
    """A line through points; gives losses, network and what was told."""
    random, told = seeded(seed), []
    net = torch.nn.Linear(1, 1)
    x = torch.rand(32, 1, generator=random)
    fit = epochs(
        net,
        count,
        lambda: x[torch.randperm(32, generator=random)].split(8),
        lambda batch: (net(batch) - 3 * batch - 1).square().mean(),
        torch.optim.SGD(net.parameters(), lr=0.3),
        lambda *step: told.append(step),
        **options,
    )
    return list(fit), net, told


def test_epochs_learn_a_line_and_repeat():
    losses, net, told = line(0)
    assert len(losses) == 30
    assert losses[-1] < 1e-3 < losses[0]
    assert net.weight.item() == pytest.approx(3, abs=0.1)
    assert net.bias.item() == pytest.approx(1, abs=0.1)
    assert told == [("training", epoch, 30) for epoch in range(31)]
    assert line(0)[0] == losses
    assert line(1)[0] != losses


def test_one_step_by_hand():
    net = torch.nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(2.0)

    def fitted(clip_norm: float, rate: float = 0.5) -> float:
        net.weight.data.fill_(2.0)
        optimizer = torch.optim.SGD(net.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
        loss = list(
            epochs(
                net, 2, lambda: [torch.ones(1, 1)], lambda x: 3 * net(x).sum(), optimizer, quiet,
                schedule=schedule, clip_norm=clip_norm,
            )
        )  # fmt: skip
        assert loss == pytest.approx([6, 3 * (2 - rate * (clip_norm or 3))])
        return net.weight.item()

    assert fitted(0) == pytest.approx(2 - 0.5 * 3 - 0.05 * 3)
    assert fitted(1) == pytest.approx(2 - 0.5 - 0.05)


def test_between_epochs_the_network_may_be_looked_at():
    net, modes = torch.nn.Linear(1, 1), []
    x = torch.ones(1, 1)

    def loss(batch):
        modes.append(net.training)
        return net(batch).sum()

    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in epochs(net, 2, lambda: [x], loss, optimizer, quiet):
        net.eval()
    assert modes == [True, True]


def test_what_cannot_be_trained():
    net = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(NeuvaError, match="tuning, epoch 1: the loss is nan: training has diverged"):
        list(epochs(net, 1, lambda: [float("nan")], lambda x: x * net.weight.sum(), optimizer, quiet, what="tuning"))
    with pytest.raises(NeuvaError, match="training: there is not one batch"):
        list(epochs(net, 1, list, lambda _: net.weight.sum(), optimizer, quiet))


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("/nowhere/evil"),)


def test_files_of_weights(tmp_path):
    values = torch.nn.Linear(3, 2).state_dict()
    save_weights(tmp_path / "w.pt", values)
    save_file(values, tmp_path / "w.safetensors")
    for name in ("w.pt", "w.safetensors"):
        found = read_weights(tmp_path / name)
        assert found.keys() == values.keys()
        assert all(torch.equal(found[key], values[key]) for key in values)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    torch.save([Evil()], tmp_path / "evil2.pt")
    for name in ("evil.pt", "evil2.pt", "bad.safetensors"):
        with pytest.raises(NeuvaError, match=rf"{name}: no file of weights"):
            read_weights(tmp_path / name)
    with pytest.raises(NeuvaError, match=r"none\.pt: no such file of weights"):
        read_weights(tmp_path / "none.pt")
