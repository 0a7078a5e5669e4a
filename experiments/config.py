"""A training run as a YAML file: validated, with unknown keys and bad values named by their path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from experiments.keys import unknown_key
from neuva import NeuvaError
from snn.baselines import ConvGruSpec
from snn.networks import AFFECT, NetworkSpec
from snn.training import Recipe, require_rhythm

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

KINDS = ("spiking", "conv_gru")
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""What pydantic calls a key that a model, or a dataclass, does not have."""
Read = TypeVar("Read", bound=BaseModel)


class Model(BaseModel):
    """Base: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Augment(Model):
    """How far a training window may be changed; each change is drawn anew, evenly, up to its largest; 0: none."""

    flip: bool = Field(default=True, description="mirror half of the windows left to right")
    shift: float = Field(default=0, ge=0, le=1, description="move the face's box, as a share of its side")
    drift: float = Field(default=0, ge=0, le=1, description="let the box wander in a window, as a share of its side")
    scale: float = Field(default=0, ge=0, le=9, description="grow or shrink the box: 0.1 from 1 / 1.1 to 1.1")
    rotate: float = Field(default=0, ge=0, le=180, description="turn the picture, degrees either way")
    drop: float = Field(default=0, ge=0, lt=1, description="lose events, as a share of all")
    noise_hz: float = Field(default=0, ge=0, le=1000, description="add events, a second and input pixel")
    stretch: float = Field(default=0, ge=0, le=9, description="slow down or hasten: 0.1 from 1 / 1.1 to 1.1")
    polarity: float = Field(default=0, ge=0, le=1, description="chance that ON and OFF are exchanged")


class DataConfig(Model):
    """Where clips come from and how windows are cut from them."""

    store: Path = Field(description="HDF5 store made by `neuva data make`")
    window_steps: int = Field(100, ge=2, description="steps of dt in a training window")
    batch: int = Field(8, ge=1, description="windows in an optimiser step, of all processes together")
    augment: Augment = Augment()
    workers: int = Field(0, ge=0, description="processes that cut windows, for each that trains")


class ChipAwareConfig(Model):
    """Training with a chip's own numbers."""

    target: Literal["loihi1", "loihi2", "speck2e", "speck2f", "dynapcnn"] = Field(description="the chip")
    last: float = Field(0.25, gt=0, le=1, description="for the last share of the steps")


def _kind(value: Any) -> str:
    return str(value.get("kind", "spiking")) if isinstance(value, dict) else str(getattr(value, "kind", "spiking"))


Network = Annotated[
    Annotated[NetworkSpec, Tag("spiking")] | Annotated[ConvGruSpec, Tag("conv_gru")], Discriminator(_kind)
]


class TrainConfig(Model):
    """Everything `neuva train` needs."""

    data: DataConfig
    network: Network
    recipe: Recipe = Recipe()
    chip_aware: ChipAwareConfig | None = Field(None, description="train the last steps with a chip's own numbers")
    start: Path | None = Field(None, description="checkpoint whose weights to begin with, of any target")
    seed: int = Field(0, ge=0, lt=2**32)
    devices: int = Field(1, ge=1, description="processes on this machine, each on a device of its own")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of convolutions: bfloat16 on a GPU that has it, else float32"
    )

    @model_validator(mode="after")
    def _chip_is_the_networks(self) -> TrainConfig:
        if self.chip_aware is not None:
            family = "loihi" if self.chip_aware.target.startswith("loihi") else "speck"
            trained_for = self.network.target if isinstance(self.network, NetworkSpec) else "no chip"
            if trained_for not in (family, "any"):
                raise ValueError(
                    f"chip_aware.target {self.chip_aware.target} on a network for {trained_for}: "
                    "name a chip of the network's target, or leave chip_aware out"
                )
        return self

    @model_validator(mode="after")
    def _network_is_for_affect(self) -> TrainConfig:
        if self.network.input_shape[0] != 2:
            raise ValueError(f"network.input_shape {self.network.input_shape}: events have 2 channels, OFF and ON")
        if isinstance(self.network, NetworkSpec) and (self.network.outputs != AFFECT or not self.network.layers):
            raise ValueError(
                "network: takes at least one layer, and its outputs are valence and arousal: leave them out"
            )
        return self

    @model_validator(mode="after")
    def _window_is_scored(self) -> TrainConfig:
        require_rhythm(self.recipe, self.network.every)
        estimates = self.data.window_steps // self.network.every
        if estimates < self.recipe.warm_up + 2:
            raise ValueError(
                f"a window of {self.data.window_steps} steps gives {estimates} estimates, of which recipe.warm_up = "
                f"{self.recipe.warm_up} are not scored: at least 2 must be; take longer windows"
            )
        return self


def load_config(path: str | Path) -> TrainConfig:
    """Read a training configuration, as `read_config` does."""
    return read_config(path, TrainConfig)


def read_config(path: str | Path, model: type[Read]) -> Read:
    """Read a configuration of any model.

    Raises:
        NeuvaError: if the file is missing, empty or no YAML, or a key, told by its path, is unknown or its value bad.
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
    if not isinstance(values, dict):
        what = "is empty" if values is None else "holds no keys with values"
        raise NeuvaError(f"{path}: {what}: see experiments/configs for examples")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_problem(model, each) for each in error.errors())
        raise NeuvaError(f"{path}: {problems}") from error


def _problem(model: type[BaseModel], error: ErrorDetails) -> str:
    """The key's path, without the kind of network that the checker puts in between, and what is wrong with it."""
    where = ".".join(str(part) for part in error["loc"] if part not in KINDS)
    if error["type"] in UNKNOWN:
        what = unknown_key(model, error["loc"])
    else:
        what = "is missing" if error["type"] == "missing" else error["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what
