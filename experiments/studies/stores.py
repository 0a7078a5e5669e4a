"""The store a study works on: the right data set, what it is called, and whether its faces are real."""

from __future__ import annotations

from pathlib import Path

from datasets.store import EventStore
from experiments.studies.study import Study
from neuva import NeuvaError


def made_as(dataset: str) -> str:
    """The name for `neuva data make` of what a store calls its data set."""
    return {"synthetic-faces": "synthetic"}.get(dataset, dataset)


def open_store(study: Study, path: Path) -> EventStore:
    """The store a study is asked to work on.

    Raises:
        NeuvaError: if it is no store, or of a data set that the study does not take.
    """
    store = EventStore(path)
    if store.dataset not in study.data:
        ways = " or ".join(f"`neuva data make {made_as(name)}`" for name in study.data)
        raise NeuvaError(
            f"{path}: a store of {store.dataset}; study {study.name} takes {' or '.join(study.data)}: "
            f"make one with {ways}"
        )
    return store


def is_synthetic(store: EventStore) -> bool:
    """Whether its faces are drawn, so that nothing measured on them is a result on a data set of people."""
    return len(store) > 0 and bool(store.meta(0).get("synthetic"))
