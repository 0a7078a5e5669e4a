"""Sums over processes, with threads for processes: the mean of their gradients is that of one process with all rows."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from snn import processes
from snn.losses import concordance_loss

WORLD = 2


class Threads:
    """Stands in for torch.distributed: every thread that calls `all_reduce` gets the sum of all."""

    def __init__(self) -> None:
        self.given: list[torch.Tensor] = []
        self.met = threading.Barrier(WORLD, timeout=20)

    def is_available(self) -> bool:
        return True

    is_initialized = is_available

    def get_world_size(self) -> int:
        return WORLD

    def all_reduce(self, x: torch.Tensor) -> None:
        self.given.append(x.clone())
        self.met.wait()
        whole = sum(self.given)
        self.met.wait()
        self.given.clear()
        x.copy_(whole)
        self.met.wait()


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x and labels [T, B, 2], and a mask that leaves the two halves of the batch different numbers of rows."""
    random = torch.Generator().manual_seed(0)
    x, labels = (torch.randn(9, 4, 2, generator=random, dtype=torch.float64) for _ in range(2))
    mask = torch.rand(9, 4, generator=random) < torch.tensor([0.9, 0.8, 0.3, 0.4])
    return x + torch.tensor([0.7, -0.4]), labels, mask


def gradient(x: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and gradient of a map y = a x + b shared by all processes."""
    weights = torch.tensor([[0.5, -0.3], [0.2, 0.6]], dtype=torch.float64, requires_grad=True)
    loss = concordance_loss(weights[0] * x + weights[1], labels, mask, 0.3)
    loss.backward()
    assert weights.grad is not None
    return loss.detach(), weights.grad


def test_two_processes_have_the_loss_and_the_gradient_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, expected = gradient(*data())
    monkeypatch.setattr(processes, "distributed", Threads())
    with ThreadPoolExecutor(WORLD) as pool:
        halves = [[part[:, 2 * rank : 2 * rank + 2] for part in data()] for rank in range(WORLD)]
        found = list(pool.map(lambda half: gradient(*half), halves))
    assert [float(each) for each, _ in found] == pytest.approx([float(loss)] * WORLD)
    mean = torch.stack([each for _, each in found]).mean(0)
    assert torch.allclose(mean, expected, rtol=1e-9)
    assert not torch.allclose(found[0][1], expected, rtol=1e-2)  # one process alone has not all of it
