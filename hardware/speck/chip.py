"""A chip of the Speck family as a table of limits, read from the YAML file of its name (sources beside the numbers)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

from neuva import NeuvaError


class Memory(NamedTuple):
    """Words of a core's three memories, used or available: kernel (8 bit), neuron (16 bit), bias."""

    kernel: int
    neuron: int
    bias: int

    def fits(self, core: Memory) -> bool:
        """Whether all three fit into a core's."""
        return all(used <= there for used, there in zip(self, core, strict=True))


@dataclass(frozen=True)
class Chip:
    """Limits of one chip; units and sources are in the YAML files."""

    name: str
    cores: tuple[Memory, ...]
    input_side: int
    map_side: int
    features: int
    kernel_side: int
    strides: tuple[int, ...]
    padding: int
    pools: tuple[int, ...]
    weight_bits: int
    bias_bits: int
    state_bits: int
    destinations: int
    readout_classes: int
    readout_spacing: int


@lru_cache
def load(name: str) -> Chip:
    """The limits of "dynapcnn", "speck2e" or "speck2f".

    Raises:
        NeuvaError: if there is no such chip.
    """
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in _values(name).items()
    }
    values["cores"] = tuple(Memory(*words) for words in values["cores"])
    return Chip(name=name, **values)


def _values(name: str) -> dict[str, Any]:
    folder = files(__package__)
    known = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    if name not in known:
        raise NeuvaError(f"{name} is no chip of the Speck family: choose one of {', '.join(known)}")
    table = yaml.safe_load((folder / f"{name}.yaml").read_text())
    inherited = _values(table.pop("extends")) if "extends" in table else {}
    return inherited | {key: entry["value"] for key, entry in table.items()}
