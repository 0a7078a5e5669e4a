"""Makes a store clip by clip, so that a killed run goes on from the clips it finished."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from datasets.sample import Sample
from datasets.store.layout import Header, StoredClip, read_arrays, read_sample, write_store
from neuva import NeuvaError, atomic_path

log = logging.getLogger(__name__)


class StoreWriter:
    """Context manager that makes the store at `path`.

    Each added clip becomes a store of its own in the folder `.NAME.partial` beside the target, whole or
    not at all. On a clean exit they are joined into the store and the folder goes; after an error or a
    kill the folder stays, and the next writer with the same header goes on from it:

        with StoreWriter(path, dataset="faces", sensor_size=(64, 64), provenance={"seed": 1}) as store:
            for name in names:
                if name not in store.finished:
                    store.add(name, "train", make(name))

    The store lists its clips in the order in which they were added. A header that differs from the
    one found (data set, sensor size, provenance, schema) starts afresh.

    Raises:
        NeuvaError: if the place cannot be written.
    """

    def __init__(
        self, path: str | Path, *, dataset: str, sensor_size: tuple[int, int], provenance: Mapping[str, Any]
    ) -> None:
        self.path = Path(path)
        self.header = Header(dataset, (int(sensor_size[0]), int(sensor_size[1])), provenance)
        self.folder = self.path.with_name(f".{self.path.name}.partial")
        self._mark = self.folder / "header.json"
        self._names: list[str] = []

    @property
    def finished(self) -> frozenset[str]:
        """Names of the clips that are already in."""
        return frozenset(self._names)

    def __enter__(self) -> Self:
        header = self.header.to_json()
        if self.folder.exists() and not (self._mark.exists() and self._mark.read_text() == header):
            log.warning("%s was begun with other settings: starting afresh", self.path)
            shutil.rmtree(self.folder)
        if not self._mark.exists():
            with atomic_path(self._mark) as temporary:
                temporary.write_text(header)
        self._names = [_name_and_split(part)[0] for part in self._parts()]
        if self._names:
            log.info("%s: going on after %d finished clips", self.path, len(self._names))
        return self

    def add(self, name: str, split: str, sample: Sample, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Store a clip; when this returns, a kill does not lose it.

        Raises:
            NeuvaError: if the name is taken, the sensor size is another one or something cannot be stored.
        """
        if name in self._names:
            raise NeuvaError(f"{self.path}: clip {name} is there already: skip the names in `finished`")
        if sample.events.sensor_size != self.header.sensor_size:
            raise NeuvaError(
                f"{self.path}: clip {name} is from a sensor of {sample.events.sensor_size}, "
                f"the store of {self.header.sensor_size}: rescale or crop it"
            )
        part = self.folder / f"clip-{len(self._names):06d}.h5"
        write_store(part, self.header, [StoredClip(name, split, sample, arrays or {})])
        self._names.append(name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            log.info("%s: stopped; %d finished clips are kept in %s", self.path, len(self._names), self.folder)
            return
        whole = self.folder / "whole.h5"
        write_store(whole, self.header, self._clips())
        whole.replace(self.path)
        self._mark.unlink()  # first: a folder without it is never taken up again
        shutil.rmtree(self.folder)

    def _clips(self) -> Iterator[StoredClip]:
        for part in self._parts():
            name, split = _name_and_split(part)
            with h5py.File(part) as file:
                yield StoredClip(name, split, read_sample(file, 0), read_arrays(file, 0))

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("clip-*.h5"))


def _name_and_split(part: Path) -> tuple[str, str]:
    with h5py.File(part) as file:
        return file["clips/name"].asstr()[0], file["clips/split"].asstr()[0]
