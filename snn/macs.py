"""How many multiplications with addition a network does."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(net: nn.Module, *inputs: torch.Tensor) -> int:
    """Multiply-accumulates of convolutions and matrix products of one forward pass, zeros and padding included.

    They are counted at the operators that torch runs, so that those of functions count beside those of modules, on a
    copy on torch's "meta" device: nothing is computed, and the network stays as it is. Elementwise operations
    (neurons, normalisation) count nothing. A forward pass that asks for values, or for its device's autocast as
    `ValenceArousalNet` does, cannot be counted. torch counts two operations a multiply-accumulate.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copy.deepcopy(net).to("meta")(*(x.to("meta") for x in inputs))
    return counter.get_total_flops() // 2
