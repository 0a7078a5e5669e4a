"""A training run as a YAML file: validated, with unknown keys and bad values named by their path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from neuva import NeuvaError
from snn.networks import NetworkSpec
from snn.training import Recipe


class Model(BaseModel):
    """Base: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Model):
    """Where clips come from and how windows are cut from them."""

    store: Path = Field(description="HDF5 store made by `neuva data make`")
    window_steps: int = Field(100, ge=2, description="steps of dt in a training window")
    batch: int = Field(8, ge=1, description="windows in an optimiser step")
    flip: bool = Field(True, description="mirror half of the windows left to right")
    shift: int = Field(0, ge=0, description="move windows by up to so many pixels, as a face's box is never exact")
    workers: int = Field(0, ge=0, description="processes that cut windows")


class TrainConfig(Model):
    """Everything `neuva train` needs."""

    data: DataConfig
    network: NetworkSpec
    recipe: Recipe = Recipe()
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _window_is_scored(self) -> TrainConfig:
        estimates = self.data.window_steps // self.network.every
        if estimates < self.recipe.warm_up + 2:
            raise ValueError(
                f"a window of {self.data.window_steps} steps gives {estimates} estimates, of which recipe.warm_up = "
                f"{self.recipe.warm_up} are not scored: at least 2 must be; take longer windows"
            )
        return self


def load_config(path: str | Path) -> TrainConfig:
    """Read a training configuration.

    Raises:
        NeuvaError: if the file is missing, is no YAML, or a key is unknown or its value bad (with the key's path).
    """
    path = Path(path)
    if not path.exists():
        raise NeuvaError(f"{path}: no such configuration: see experiments/configs for examples")
    try:
        values: Any = yaml.safe_load(path.read_text())
    except OSError as error:
        raise NeuvaError(f"{path}: cannot be read ({error.strerror}): name a .yaml file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise NeuvaError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise NeuvaError(f"{path}: {problems}") from error
