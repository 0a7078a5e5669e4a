"""What a study's results come from: configuration, stores, versions, machine, with their hashes."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import torch

from datasets.inputs import fingerprint
from datasets.store import EventStore
from experiments.config import Model
from experiments.stages import code_hash
from experiments.studies.published import published_notes
from experiments.studies.results import Report
from experiments.studies.stores import is_synthetic, open_store
from experiments.studies.study import Inputs, Study
from neuva import __version__

Settings = TypeVar("Settings", bound=Model)

LIBRARIES = (
    "torch", "transformers", "pytorch-tcn", "torchmetrics", "numpy", "scipy", "numba", "h5py", "safetensors",
    "distributed",
)  # fmt: skip


def begin(study: Study, config: Model, inputs: Inputs) -> Report:
    """A study of which nothing is done yet.

    Raises:
        NeuvaError: if the store is not one of the study's, or an extra one is no store.
    """
    store = open_store(study, inputs.store)
    values = config.model_dump(mode="json")
    leaves = dict(_leaves(config.model_dump()))
    files = {key: fingerprint([value]) for key, value in leaves.items() if isinstance(value, Path) and value.exists()}
    stores = {"data": inputs.store, **inputs.extra}
    return Report(
        study=study.name,
        what=study.what,
        paper=study.paper,
        dataset=store.dataset,
        synthetic=is_synthetic(store),
        stands_for=[*(name for name in study.data if name != store.dataset), *inputs.extra],
        configuration=values,
        seeds={key: value for key, value in leaves.items() if "seed" in key.rpartition(".")[2]},
        stores={name: str(path) for name, path in stores.items()},
        hashes={
            "code": code_hash(),
            "configuration": _hash([values, files]),
            **{name: _identity(EventStore(path)) for name, path in stores.items()},
        },
        made_with={},
        seconds={},
        tables=(),
        notes=published_notes(study.name),
    )


@functools.cache
def made_with() -> dict[str, str]:
    """What this process computes with: versions, machine and device."""
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {
        "neuva": __version__,
        "Python": platform.python_version(),
        **libraries,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
    }


def with_whole_paths(config: Settings) -> Settings:
    """The same configuration with every path from the root, as a worker that started elsewhere needs them."""
    return type(config).model_validate(_resolved(config.model_dump()))


def _resolved(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _resolved(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_resolved(value) for value in values]
    return values.resolve() if isinstance(values, Path) else values


def _identity(store: EventStore) -> str:
    """Of what a store holds, how it was made, and its file's name, size and time of last change."""
    return _hash([store.dataset, store.provenance, len(store), fingerprint([store.path])])


def _hash(values: Any) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested dictionaries and lists, by its path."""
    if isinstance(values, dict | list | tuple):
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, values
