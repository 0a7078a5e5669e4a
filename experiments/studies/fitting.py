"""What the jobs of studies share: seeds, the device, epochs of training, and files of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.studies.study import Progress
from neuva import NeuvaError, atomic_path


def seeded(seed: int) -> torch.Generator:
    """Seed torch's own draws (weights, dropout); gives a generator for all others (order, augmentation).

    The same seed gives the same bytes on a CPU; on a GPU some operations add in no fixed order.
    """
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    return torch.Generator().manual_seed(seed)


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def epochs(
    net: torch.nn.Module,
    count: int,
    batches: Callable[[], Iterable[Any]],
    loss_of: Callable[[Any], torch.Tensor],
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    *,
    what: str = "training",
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    clip_norm: float = 0.0,
) -> Iterator[float]:
    """Train for `count` epochs; after each gives its mean loss, and its taker may look at the network meanwhile.

    Args:
        batches: those of one epoch, asked anew for each (a DataLoader's ``__iter__``, a function that shuffles).
        loss_of: one batch; the network is in training mode. schedule: stepped after each epoch.
        clip_norm: largest norm of the gradient; 0: any.

    Raises:
        NeuvaError: if an epoch has no batch, or a loss is no finite number.
    """
    progress(what, 0, count)
    for epoch in range(count):
        net.train()
        losses = [_step(net, loss_of(batch), optimizer, clip_norm, f"{what}, epoch {epoch + 1}") for batch in batches()]
        if not losses:
            raise NeuvaError(f"{what}: there is not one batch to train on: take more clips or a smaller batch")
        if schedule is not None:
            schedule.step()
        progress(what, epoch + 1, count)
        yield sum(losses) / len(losses)


def finite(values: np.ndarray, what: str) -> np.ndarray:
    """What a network gives, to be scored: the last step may still break it, and argmax takes NaN for class 0.

    Raises:
        NeuvaError: if a value is no finite number.
    """
    if wrong := int(np.sum(~np.isfinite(values))):
        raise NeuvaError(
            f"{what}: {wrong} of {values.size} values are no finite number: training has diverged; take a smaller "
            "learning rate"
        )
    return values


def save_weights(path: Path, values: Any) -> None:
    """Write tensors and plain values (a state_dict) so that `read_weights` takes them."""
    with atomic_path(path) as temporary:
        torch.save(values, temporary)


def read_weights(path: Path) -> dict[str, Any]:
    """Tensors by name from a .safetensors file, or from what torch.save wrote; nothing but tensors is unpickled.

    Raises:
        NeuvaError: if the file is missing or is neither.
    """
    if not path.is_file():
        raise NeuvaError(f"{path}: no such file of weights: name a .safetensors file or one of torch.save")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file makes both raise almost anything
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NeuvaError(f"{path}: no file of weights ({line}): name a .safetensors file or a state_dict") from error


def _step(
    net: torch.nn.Module, loss: torch.Tensor, optimizer: torch.optim.Optimizer, clip_norm: float, where: str
) -> float:
    value = loss.item()
    if not loss.isfinite():
        raise NeuvaError(f"{where}: the loss is {value}: training has diverged; take a smaller learning rate")
    optimizer.zero_grad()
    loss.backward()
    if clip_norm:
        torch.nn.utils.clip_grad_norm_(net.parameters(), clip_norm)
    optimizer.step()
    return value
