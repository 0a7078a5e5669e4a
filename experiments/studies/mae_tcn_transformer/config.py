"""The study's configuration: two files of it lie in experiments/configs/studies, mae-tcn-transformer*.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from experiments.config import Model
from experiments.studies.mae_tcn_transformer.pretraining import Recipe
from experiments.studies.mae_tcn_transformer.windows import Windows
from snn.baselines.masked_autoencoder import AutoencoderSpec
from snn.baselines.sequence import SequenceSpec, Task

Modality = Literal["faces", "sound"]


class EncoderConfig(Model):
    """Stages 1 and 2: the encoder of faces."""

    network: AutoencoderSpec
    weights: Path | None = Field(
        None, description="weights of transformers' ViT-MAE to begin with, .safetensors or of torch.save"
    )
    every: int = Field(ge=1, description="an epoch takes one of so many frames: neighbours are nearly the same")
    pretraining: Recipe | None = Field(description="of the masked autoencoder; none: its weights are `weights`")
    fine_tuning: Recipe

    @model_validator(mode="after")
    def _begins_somehow(self) -> EncoderConfig:
        if self.pretraining is None and self.weights is None:
            raise ValueError("neither weights nor pretraining is given: give one of them")
        return self


class SoundConfig(Model):
    """Features of sound."""

    bands: int = Field(default=64, ge=4, description="of the log-mel spectrum")
    wav2vec: Path | None = Field(
        default=None, description="folder of a wav2vec 2.0 network of transformers, in its place"
    )


class TaskConfig(Model):
    """Stage 3 for one task."""

    modalities: tuple[Modality, ...] = Field(min_length=1)
    training: Recipe


class StudyConfig(Model):
    """Everything the study needs besides its store."""

    folds: int = Field(ge=0, description="besides the official split: the store's folds by video, all or 0")
    encoder_of: Literal["each split", "official"] = Field(
        description="whether each split has an encoder of its own, or that of the official training clips serves all"
    )
    encoder: EncoderConfig
    sound: SoundConfig = SoundConfig()
    windows: Windows = Windows()
    sequence: SequenceSpec
    tasks: dict[Task, TaskConfig] = Field(min_length=1)

    @property
    def hears(self) -> bool:
        """Whether a task takes sound."""
        return any("sound" in task.modalities for task in self.tasks.values())
