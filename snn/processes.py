"""Sums and means over the processes that train one network together; in a single process, that process's own."""

from __future__ import annotations

import torch
from torch import distributed


def total(x: torch.Tensor) -> torch.Tensor:
    """Sum of x over all processes, every one of which must call.

    Each passes its own x the gradient times the number of processes: data-parallel training takes the mean of the
    processes' gradients, and so arrives at that of the sum. That holds where no other total went into x with gradient:
    one process does not know what the others' sums owe to its own.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return x
    own = x * distributed.get_world_size()
    whole = x.detach().clone()
    distributed.all_reduce(whole)
    return own + (whole - own.detach())


def mean(x: torch.Tensor) -> torch.Tensor:
    """Mean of x over all processes, whose batches are of one size; the gradient as `total`'s."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return x
    return total(x) / distributed.get_world_size()


def pooled_mean(rows: torch.Tensor) -> torch.Tensor:
    """Mean over the first dimension of all processes' rows together, however many each has; 0 if none has any."""
    count = total(rows.new_tensor(float(len(rows))))
    return total(rows.sum(0)) / count.detach().clamp(min=1)
