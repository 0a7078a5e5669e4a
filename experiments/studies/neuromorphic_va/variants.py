"""What is trained: each model with what it sees; and what is seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from experiments.studies.neuromorphic_va.config import NeuromorphicVa, Spiking


@dataclass(frozen=True)
class View:
    """What a model sees of a frame: kind, picture's side, and parts.

    kind: "binary", one temporal binary picture of `parts` bits; "grey", the camera's frame; "spikes", `parts` steps of
    events of both polarities.
    """

    kind: Literal["binary", "grey", "spikes"]
    side: int
    parts: int = 1

    @property
    def name(self) -> str:
        """For folders and tables."""
        return {"binary": f"binary{self.parts}", "grey": "grey", "spikes": f"spikes{self.parts}"}[self.kind]

    @property
    def channels(self) -> int:
        """Pictures a frame."""
        return 2 * self.parts if self.kind == "spikes" else 1

    @property
    def dtype(self) -> str:
        """Of whole numbers on disk."""
        return "uint16" if self.kind == "binary" and self.parts > 8 else "uint8"

    @property
    def full(self) -> int:
        """The largest number, shown as 1."""
        return {"binary": 2**self.parts - 1, "grey": 255, "spikes": 1}[self.kind]


@dataclass(frozen=True)
class Variant:
    """A model, by its name in the configuration, and what it sees."""

    model: str
    view: View

    @property
    def name(self) -> str:
        """For folders and jobs."""
        return f"{self.model}-{self.view.name}"

    def of_fold(self, fold: int) -> str:
        """The job that trains it for a fold."""
        return f"{self.name}-fold{fold}"


def main_variant(config: NeuromorphicVa, model: str) -> Variant:
    """A model on events, of the bits that all models have."""
    network = config.models[model]
    if isinstance(network, Spiking):
        return Variant(model, View("spikes", network.network.input_shape[1], network.network.every))
    return binary_variant(config, model, config.pictures.bits)


def binary_variant(config: NeuromorphicVa, model: str, bits: int) -> Variant:
    """A model on temporal binary pictures of so many bits."""
    return Variant(model, View("binary", config.pictures.side, bits))


def grey_variant(config: NeuromorphicVa, model: str) -> Variant:
    """A model on the camera's grey frames."""
    return Variant(model, View("grey", config.pictures.side))


def variants(config: NeuromorphicVa) -> list[Variant]:
    """All that is trained, each once: models on events, bit depths, models on grey frames."""
    found = [main_variant(config, model) for model in config.models]
    if config.bit_depth is not None:
        found += [binary_variant(config, config.bit_depth.model, bits) for bits in config.bit_depth.bits]
    found += [grey_variant(config, model) for model in config.grey]
    return list(dict.fromkeys(found))


def views(found: Iterable[Variant]) -> list[View]:
    """What they see, each once."""
    return list(dict.fromkeys(variant.view for variant in found))
