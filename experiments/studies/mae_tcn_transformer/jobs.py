"""The study's jobs: an encoder of faces, features of every frame, then a network a task and split."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from datasets.store import EventStore
from experiments.studies.fitting import device, finite
from experiments.studies.mae_tcn_transformer.checks import encoder_splits
from experiments.studies.mae_tcn_transformer.clips import OFFICIAL, ClipLabels, encoder_clips, read_clips, splits
from experiments.studies.mae_tcn_transformer.config import StudyConfig
from experiments.studies.mae_tcn_transformer.features import clip_features, log_mel, speech_features, speech_network
from experiments.studies.mae_tcn_transformer.pretraining import (
    AUTOENCODER,
    ENCODER,
    Recipe,
    StoreFaces,
    fine_tune,
    load_encoder,
    pretrain,
)
from experiments.studies.mae_tcn_transformer.sequences import train_and_score
from experiments.studies.mae_tcn_transformer.tables import sequence_job
from experiments.studies.stores import is_synthetic
from experiments.studies.study import Inputs, Job, Progress
from neuva import atomic_path

if TYPE_CHECKING:
    from transformers import Wav2Vec2Model

SOUND = "sound"


def stages(config: StudyConfig, inputs: Inputs) -> list[list[Job]]:
    """Autoencoders, encoders, features, networks; each stage needs the one before."""
    own = encoder_splits(config)
    first = [] if config.encoder.pretraining is None else [_job(f"pretraining-{s}", pretraining, s) for s in own]
    features = [_job(f"features-{s}", face_features, s) for s in own]
    if config.hears:
        features.append(_job(SOUND, sound_features))
    networks = [_job(sequence_job(task, s), network, task, s) for task in config.tasks for s in splits(config.folds)]
    made = [first, [_job(f"fine-tuning-{s}", fine_tuning, s) for s in own], features, networks]
    return [[Job(name, partial(run, config, inputs, *what)) for name, run, what in stage] for stage in made if stage]


def _job(name: str, run: Any, *what: str) -> tuple[str, Any, tuple[str, ...]]:
    return name, run, what


def pretraining(config: StudyConfig, inputs: Inputs, split: str, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train the masked autoencoder of a split."""
    recipe = config.encoder.pretraining
    if recipe is None:
        raise RuntimeError("stages leaves this job out where there is no pre-training")
    faces = _faces(config, inputs, split, recipe, labelled=False)
    losses = pretrain(faces, config.encoder.network, recipe, folder, progress, config.encoder.weights)["loss"]
    return _encoder_result(faces, losses)


def fine_tuning(config: StudyConfig, inputs: Inputs, split: str, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train the encoder of a split on expressions."""
    recipe = config.encoder.fine_tuning
    faces = _faces(config, inputs, split, recipe, labelled=True)
    start = config.encoder.weights
    if config.encoder.pretraining is not None or start is None:
        start = inputs.of_job(f"pretraining-{split}") / AUTOENCODER
    losses = fine_tune(faces, config.encoder.network, recipe, start, folder, progress)["loss"]
    return _encoder_result(faces, losses)


def face_features(config: StudyConfig, inputs: Inputs, split: str, folder: Path, progress: Progress) -> dict[str, Any]:
    """What the encoder of a split makes of every frame, a file a clip (see `feature_file`)."""
    encoder = load_encoder(inputs.of_job(f"fine-tuning-{split}") / ENCODER, config.encoder.network)
    store = EventStore(inputs.store)
    for index in _unwritten(folder, len(store), "features of faces", progress):
        _write(feature_file(folder, index), clip_features(encoder, store, index))
    return {"clips": len(store)}


def sound_features(config: StudyConfig, inputs: Inputs, folder: Path, progress: Progress) -> dict[str, Any]:
    """What is heard at every frame, a file a clip; a clip without sound is silent."""
    store, clips, weights = EventStore(inputs.store), read_clips(inputs.store), config.sound.wav2vec
    net = None if weights is None else speech_network(weights)
    if net is not None:
        torch.nn.Module.to(net, device())
    for index in _unwritten(folder, len(clips), "features of sound", progress):
        _write(feature_file(folder, index), _hear(config, net, store, clips[index]))
    return {"clips": len(clips), "silent": [clip.name for clip in clips if not clip.heard]}


def network(
    config: StudyConfig, inputs: Inputs, task: Any, split: str, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Train a task's network on a split and score it."""
    encoder = split if config.encoder_of == "each split" else OFFICIAL
    folders = {"faces": inputs.of_job(f"features-{encoder}"), "sound": inputs.of_job(SOUND)}
    clips = read_clips(inputs.store)

    def features_of(clip: ClipLabels) -> dict[str, np.ndarray]:
        wanted = config.tasks[task].modalities
        return {name: np.load(feature_file(folders[name], clip.index), mmap_mode="r") for name in wanted}

    result = train_and_score(config, clips, task, split, features_of, folder, progress)
    synthetic = is_synthetic(EventStore(inputs.store))
    return {**result, "synthetic": synthetic, "encoder_weights": config.encoder.weights is not None}


def feature_file(folder: Path, clip: int) -> Path:
    """Where a clip's features are, float16 [n, width]: a window is read without the rest of them."""
    return folder / f"{clip:05d}.npy"


def _faces(config: StudyConfig, inputs: Inputs, split: str, recipe: Recipe, *, labelled: bool) -> StoreFaces:
    clips = encoder_clips(read_clips(inputs.store), split)
    seen = [clip.index for clip in clips if not labelled or clip.valid("expression").any()]
    store, every = EventStore(inputs.store), config.encoder.every
    return StoreFaces(store, seen, recipe.batch, every=every, labelled=labelled, seed=recipe.seed)


def _encoder_result(faces: StoreFaces, losses: list[float]) -> dict[str, Any]:
    pictures = sum(max(1, len(usable) // faces.every) for usable in faces.usable if len(usable))
    return {
        "clips": len(faces.clips),
        "pictures": pictures,
        "loss": losses[-1],
        "losses": losses,
        "synthetic": is_synthetic(faces.store),
    }


def _unwritten(folder: Path, clips: int, what: str, progress: Progress) -> Iterator[int]:
    """The clips whose features are not on disk: those that a killed run has finished are kept."""
    for index in range(clips):
        progress(what, index, clips)
        if not feature_file(folder, index).exists():
            yield index


def _hear(config: StudyConfig, net: Wav2Vec2Model | None, store: EventStore, clip: ClipLabels) -> np.ndarray:
    rate = store.meta(clip.index).get("audio_rate", 16_000)
    sound = store.arrays(clip.index, "audio") if clip.heard else np.zeros(rate, np.int16)
    if net is not None:
        return speech_features(net, sound, rate, clip.times_us)
    return log_mel(sound, rate, clip.times_us, config.sound.bands)


def _write(path: Path, rows: np.ndarray) -> None:
    with np.errstate(over="ignore"):  # told by `finite`
        half = finite(rows.astype(np.float16), f"features in {path}")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, half)
