"""What the study trains and how: the file of experiments/configs/studies."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from pydantic import Field, model_validator

from experiments.config import Model
from neuva import NeuvaError
from snn.networks.seen import ABLATIONS, EVENT_MOMENTS, FRAME_MOMENTS, SAMPLINGS, Moments, SeenSpec

Setting = Literal["E4-S0", "E4-S1", "E4-S3", "E7-S0", "E7-S1", "E13-S0"]
Letter = Literal["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M"]
FULL = "M"
"""The ablation that takes nothing away."""


class Size(Model):
    """The network's size; the defaults are the published one's."""

    side: int = Field(default=90, ge=16, description="of the square pictures")
    channels: tuple[int, int, int] = (64, 256, 512)
    hidden: int = Field(default=256, ge=1)


class Training(Model):
    """Stochastic gradient descent; the defaults are the published code's."""

    epochs: int = Field(default=180, ge=1)
    batch: int = Field(default=32, ge=2)
    lr: float = Field(default=0.015, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-3, ge=0)
    gamma: float = Field(default=0.94, gt=0, le=1, description="factor of the learning rate after each epoch")


class Normalisation(Model):
    """Mean and standard deviation of the pictures, black 0 and white 1; the defaults are SEE's."""

    events: Moments = EVENT_MOMENTS
    frames: Moments = FRAME_MOMENTS


class SeenConfig(Model):
    """Everything `neuva study seen` needs besides the store."""

    settings: tuple[Setting, ...] = Field(get_args(Setting), min_length=1, description="E{frames}-S{left out between}")
    ablations: tuple[Letter, ...] | Literal["all"] = Field((), description="letters of the published ablations")
    ablation_settings: tuple[Setting, ...] = ("E4-S0", "E4-S1", "E4-S3")
    deployed: Setting = Field("E4-S3", description="the setting whose network is put on chips and drawn")
    network: Size = Size()
    training: Training = Training()
    normalisation: Normalisation | None = Field(Normalisation(), description="null: measured on the training clips")
    runs: int = Field(20, ge=1, description="random clips of each test sequence")
    selected_from: int = Field(
        140, ge=1, description="first epoch, from 1 as the authors', of which the best on the test clips is told"
    )
    seed: int = Field(2022, ge=0)

    @model_validator(mode="after")
    def _can_be_trained(self) -> SeenConfig:
        if self.deployed not in self.settings:
            raise ValueError(f"deployed {self.deployed} is not among settings {', '.join(self.settings)}: add it there")
        for setting, letter in self.trainings():
            try:
                self.spec(setting, letter)
            except NeuvaError as error:
                raise ValueError(f"ablation {letter} of {setting}: {error}") from error
        return self

    def trainings(self) -> list[tuple[str, str]]:
        """(setting, ablation) of every network, the published one in all settings first."""
        letters: tuple[str, ...] = tuple(ABLATIONS) if self.ablations == "all" else self.ablations
        full: list[tuple[str, str]] = [(setting, FULL) for setting in self.settings]
        return list(dict.fromkeys([*full, *((each, letter) for letter in letters for each in self.ablation_settings)]))

    def spec(self, setting: str, letter: str) -> SeenSpec:
        """The network of a setting and ablation in this size."""
        return replace(ABLATIONS[letter], duration=SAMPLINGS[setting].duration, **self.network.model_dump())


def job_name(setting: str, letter: str) -> str:
    """Of the job that trains it."""
    return setting if letter == FULL else f"{setting}-{letter}"
