"""Published weights into a backbone, by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from neuva import NeuvaError


def fill(net: nn.Module, tensors: Mapping[str, torch.Tensor], prefix: str, where: str) -> None:
    """Copy tensors into the parameters and running statistics of the same name, with or without `prefix` before it.

    What the file has beyond them (a classifier) is left out.

    Raises:
        NeuvaError: if one is missing or of another shape; `where` names the file.
    """
    given = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    wanted = net.state_dict()
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}  # of no use, and often left out
    missing = sorted(wanted.keys() - given.keys() - counters)
    if missing:
        raise NeuvaError(
            f"{where}: lacks {missing[0]} and {len(missing) - 1} more of {len(wanted)} tensors: name weights of this "
            "very network, or leave them out"
        )
    for name, tensor in wanted.items():
        if name in given and given[name].shape != tensor.shape:
            raise NeuvaError(
                f"{where}: {name} is {list(given[name].shape)}, the network's is {list(tensor.shape)}: name weights of "
                "this size, or change the size in the configuration"
            )
    net.load_state_dict({name: given.get(name, tensor) for name, tensor in wanted.items()})
