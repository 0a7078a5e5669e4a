"""Multiply-accumulates: against the closed form, for each kind of layer the networks here have."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from snn.macs import count_macs

T, B, N, H = 5, 2, 12, 16


@pytest.mark.parametrize(
    ("net", "shape", "macs"),
    [
        (nn.Conv2d(4, 6, (3, 5), 2, 1, groups=2), (B, 4, 9, 9), B * 5 * 4 * 6 * 2 * 3 * 5),
        (nn.Conv3d(3, 8, 3, (1, 2, 2), 1), (B, 3, T, 8, 8), B * T * 4 * 4 * 8 * 3 * 27),
        (nn.Linear(N, H), (T, B, N), T * B * N * H),
        (nn.LSTM(N, H), (T, B, N), T * B * 4 * H * (N + H)),
        (nn.BatchNorm2d(4), (B, 4, 9, 9), 0),
        (
            nn.TransformerEncoderLayer(H, 4, 2 * H, dropout=0.0),
            (T, B, H),
            T * B * (3 * H * H + H * H + 2 * H * 2 * H) + 2 * B * T * T * H,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
@pytest.mark.parametrize("training", [True, False])
def test_they_are_those_of_the_closed_form(net: nn.Module, shape: tuple[int, ...], macs: int, training: bool) -> None:
    assert count_macs(net.train(training), torch.zeros(shape)) == macs


class Functional(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(x, x.new_ones(2, 3, 3, 3))


def test_functions_count_as_modules_do() -> None:
    assert count_macs(Functional(), torch.zeros(1, 3, 6, 6)) == 4 * 4 * 2 * 3 * 9


def test_the_network_stays_as_it_is() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    count_macs(net, torch.ones(2, 3, 6, 6))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert next(net.parameters()).device.type == "cpu"
