"""What the study needs of its store and its files, looked at before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datasets.aff_wild2.annotations import ACTION_UNITS, EXPRESSIONS
from experiments.studies.mae_tcn_transformer.clips import (
    OFFICIAL,
    ClipLabels,
    encoder_clips,
    parts,
    read_clips,
    splits,
)
from experiments.studies.mae_tcn_transformer.config import StudyConfig
from experiments.studies.mae_tcn_transformer.features import speech_network
from experiments.studies.study import Inputs
from neuva import NeuvaError
from snn.baselines.sequence import Task

CURE = "make the store of more videos, or change `tasks` or `folds` in the configuration"


def check(config: StudyConfig, inputs: Inputs) -> None:
    """Refuse what cannot be run to its end.

    Raises:
        NeuvaError: if the store lacks frames, sound that the configuration asks for, or the folds; a split's side has
            no label of a task, or all that is trained on is of one class; a file of weights is not there; or the
            folder of wav2vec 2.0 holds no such network.
    """
    for file in (config.encoder.weights, config.sound.wav2vec if config.hears else None):
        if file is not None and not file.exists():
            raise NeuvaError(f"{file}: no such file or folder: correct the configuration, or leave it out")
    if config.hears and config.sound.wav2vec is not None:
        speech_network(config.sound.wav2vec)  # reads it, or says why not
    clips = read_clips(inputs.store)
    if config.hears and not any(clip.heard for clip in clips):
        raise NeuvaError(
            f"{inputs.store}: none of {len(clips)} clips has sound, which the configuration asks for: make the store "
            "again with audio/VIDEO.wav or videos and ffmpeg, or leave sound out of `modalities`"
        )
    there = len({clip.fold for clip in clips})
    if config.folds not in (0, there):
        raise NeuvaError(
            f"{inputs.store}: has {there} folds, the configuration's folds = {config.folds}: allowed are {there}, or "
            "0 for the official split alone"
        )
    for split in encoder_splits(config):
        seen = [clip for clip in encoder_clips(clips, split) if clip.valid("expression").any()]
        _require_variety(seen, f"the encoder of {split}", "expression")
    for task in config.tasks:
        for split in splits(config.folds):
            trained, scored = parts(clips, split, task)
            if not scored:
                raise NeuvaError(f"{inputs.store}: no clip with labels of {task} is scored in {split}: {CURE}")
            _require_variety(trained, split, task)


def encoder_splits(config: StudyConfig) -> list[str]:
    """The splits that have an encoder of their own."""
    return splits(config.folds) if config.encoder_of == "each split" else [OFFICIAL]


def _require_variety(clips: Sequence[ClipLabels], where: str, task: Task) -> None:
    if not clips:
        raise NeuvaError(f"{where}: no clip with labels of {task} is left to train on, needed 1 or more: {CURE}")
    if task == "valence_arousal":
        return  # constant labels train nothing, but harm nothing: where they are scored, a table tells
    labels = np.concatenate([clip.target(task)[clip.valid(task)] for clip in clips])
    if np.all(labels == labels[0]):
        shown = EXPRESSIONS[labels[0]] if task == "expression" else _units(labels[0])
        raise NeuvaError(
            f"{where}: all {len(labels)} frames of {task} to train on are {shown}, needed 2 classes: {CURE}"
        )


def _units(row: np.ndarray) -> str:
    return " ".join(unit for unit, present in zip(ACTION_UNITS, row, strict=True) if present) or "without any unit"
