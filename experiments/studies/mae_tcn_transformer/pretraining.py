"""The encoder of faces: an autoencoder learns to paint them, its encoder then to tell their expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from datasets.aff_wild2 import frames_of
from datasets.aff_wild2.annotations import EXPRESSIONS
from datasets.store import EventStore
from experiments.studies.fitting import device, epochs, read_weights, save_weights, seeded
from experiments.studies.study import Progress
from neuva import NeuvaError, SettingError
from snn.baselines.masked_autoencoder import AutoencoderSpec, FaceEncoder, MaskedAutoencoder, prepare
from snn.losses import class_loss

Batches = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]
"""Gives an epoch: batches of faces, RGB uint8 [B, H, W, 3], and of their expressions, int64 [B], -1 invalid."""

AUTOENCODER, ENCODER = "autoencoder.pt", "encoder.pt"
"""What `pretrain` and `fine_tune` keep in their folders."""

_MIXED = 8  # clips whose faces are shuffled together


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: AdamW; the learning rate rises over the first epochs, then falls as a cosine.

    warm_up: epochs of the rise, of `epochs`. clip_norm: of the gradient; 0: off.

    Raises:
        NeuvaError: if a constant is outside its range.
    """

    epochs: int
    batch: int = 32
    learning_rate: float = 3e-5
    weight_decay: float = 1e-5
    warm_up: int = 0
    clip_norm: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch) < 1 or self.learning_rate <= 0 or min(asdict(self).values()) < 0:
            raise SettingError("epochs, batch and learning_rate must be above 0, all else in a recipe not below")

    def optimizer(self, net: torch.nn.Module) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """And its schedule, stepped after each epoch."""
        optimizer = torch.optim.AdamW(net.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)

    def rate(self, epoch: int) -> float:
        """Share of the learning rate in an epoch, counted from 0.

        (e + 1) / (warm_up + 1) below warm_up, then (1 + cos(pi (e - warm_up) / (epochs - warm_up))) / 2.
        """
        if epoch < self.warm_up:
            return (epoch + 1) / (self.warm_up + 1)
        return (1 + math.cos(math.pi * (epoch - self.warm_up) / max(self.epochs - self.warm_up, 1))) / 2


class StoreFaces:
    """Faces of a store's clips: in each epoch others, one of about `every` frames, in another order.

    labelled: only of frames with an expression. The faces of a few clips are mixed at a time, so that a data set need
    not fit into memory.

    Raises:
        NeuvaError: if a clip has no faces.
    """

    def __init__(
        self,
        store: EventStore,
        clips: Sequence[int],
        batch: int,
        *,
        every: int = 1,
        labelled: bool = False,
        seed: int = 0,
    ) -> None:
        self.store, self.clips, self.batch, self.every = store, clips, batch, every
        self.rng = np.random.default_rng(seed)
        self.classes = [store.arrays(clip, "expression").astype(np.int64) for clip in clips]
        self.usable = [np.flatnonzero(each >= (0 if labelled else -1)) for each in self.classes]

    def __call__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One epoch."""
        order = self.rng.permutation(len(self.clips))
        for first in range(0, len(order), _MIXED):
            pieces = [self._faces(k) for k in order[first : first + _MIXED] if len(self.usable[k])]
            if not pieces:
                continue
            images, classes = (np.concatenate(each) for each in zip(*pieces, strict=True))
            mixed = self.rng.permutation(len(images))
            for start in range(0, len(mixed), self.batch):
                some = mixed[start : start + self.batch]
                yield images[some], classes[some]

    def _faces(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        usable = self.usable[k]
        some = np.sort(self.rng.choice(usable, max(1, len(usable) // self.every), replace=False))
        return frames_of(self.store, self.clips[k], some), self.classes[k][some]


def pretrain(
    batches: Batches, spec: AutoencoderSpec, recipe: Recipe, folder: Path, progress: Progress, start: Path | None = None
) -> dict[str, list[float]]:
    """Train an autoencoder on faces and keep its weights in `AUTOENCODER`; gives "loss", the mean of each epoch.

    start: a file of weights to begin with (see `MaskedAutoencoder.take`).

    Raises:
        NeuvaError: if there is no face, training diverges, or the weights to begin with do not fit.
    """
    seeded(recipe.seed)
    net = MaskedAutoencoder(spec)
    if start is not None:
        net.take(read_weights(start), str(start))
    net.to(device())

    def loss_of(batch: tuple[np.ndarray, np.ndarray]) -> torch.Tensor:
        return net(prepare(batch[0], spec.side, device())).loss

    losses = _train(net, batches, loss_of, recipe, progress, "autoencoder")
    save_weights(folder / AUTOENCODER, net.model.state_dict())
    return {"loss": losses}


def fine_tune(
    batches: Batches, spec: AutoencoderSpec, recipe: Recipe, autoencoder: Path, folder: Path, progress: Progress
) -> dict[str, list[float]]:
    """Train an autoencoder's encoder on expressions and keep it in `ENCODER`; gives "loss", the mean of each epoch.

    autoencoder: the file that `pretrain` kept, or any other of such weights. The weights of the last epoch are kept.

    Raises:
        NeuvaError: if there is no face, training diverges, or the weights do not fit.
    """
    seeded(recipe.seed)
    whole = MaskedAutoencoder(spec)
    whole.take(read_weights(autoencoder), str(autoencoder))
    net = FaceEncoder.of(whole, len(EXPRESSIONS)).to(device())

    def loss_of(batch: tuple[np.ndarray, np.ndarray]) -> torch.Tensor:
        return class_loss(net(prepare(batch[0], spec.side, device())), torch.from_numpy(batch[1]).to(device()))

    losses = _train(net, batches, loss_of, recipe, progress, "encoder")
    save_weights(folder / ENCODER, net.state_dict())
    return {"loss": losses}


def load_encoder(path: Path, spec: AutoencoderSpec) -> FaceEncoder:
    """The encoder that `fine_tune` kept, to be evaluated.

    Raises:
        NeuvaError: if the file is missing, damaged, or of another specification.
    """
    net = FaceEncoder(spec, len(EXPRESSIONS))
    try:
        net.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise NeuvaError(f"{path}: is of an encoder of other sizes: run the study in a new folder") from error
    return net.to(device()).eval()


def _train(
    net: torch.nn.Module,
    batches: Batches,
    loss_of: Callable[[tuple[np.ndarray, np.ndarray]], torch.Tensor],
    recipe: Recipe,
    progress: Progress,
    what: str,
) -> list[float]:
    optimizer, schedule = recipe.optimizer(net)
    steps = epochs(
        net, recipe.epochs, batches, loss_of, optimizer, progress,
        what=what, schedule=schedule, clip_norm=recipe.clip_norm,
    )  # fmt: skip
    return list(steps)
