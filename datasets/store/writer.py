"""Makes a store clip by clip, so that a killed run goes on from the clips it finished."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from datasets.events import Events
from datasets.sample import Sample
from datasets.store.dataset import may_be_store
from datasets.store.disk import disk_errors
from datasets.store.layout import Header
from datasets.store.lock import only_writer
from datasets.store.writing import StoredClip, StoreFile, fill_store
from neuva import NeuvaError, atomic_path

log = logging.getLogger(__name__)

KEPT = "; finished clips are kept"


class StoreWriter:
    """Context manager that makes the store at `path`.

    Each added clip becomes a store of its own in the folder `.NAME.partial` beside the target, whole or
    not at all. On a clean exit they are joined into the store and the folder goes; after an error or a
    kill the folder stays, and the next writer with the same header goes on from it:

        with StoreWriter(path, dataset="faces", sensor_size=(64, 64), provenance={"seed": 1}) as store:
            for name in names:
                if name not in store.finished:
                    store.add(name, "train", make(name))

    A header that differs from the one found (data set, sensor size, provenance, schema) starts afresh.

    Args:
        clips: split by name of the clips to come, in the order of the store: they may be added in any order, and
            what an earlier run left that is not among them goes. None: the store lists clips as they were added.

    Raises:
        NeuvaError: if the place cannot be written, another run is making this store, or a file is there that is no
            store.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        dataset: str,
        sensor_size: tuple[int, int],
        provenance: Mapping[str, Any],
        clips: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.header = Header(dataset, (int(sensor_size[0]), int(sensor_size[1])), provenance)
        self.folder = self.path.with_name(f".{self.path.name}.partial")
        self._mark = self.folder / "header.json"
        self._clips = clips
        self._parts: dict[str, Path] = {}

    @property
    def finished(self) -> frozenset[str]:
        """Names of the clips that are already in."""
        return frozenset(self._parts)

    def __enter__(self) -> Self:
        if self.path.exists() and not may_be_store(self.path):
            raise NeuvaError(f"{self.path}: is there and is no store: move it away, or give the store another name")
        with ExitStack() as held:
            held.enter_context(only_writer(self.path))
            self._take_up()
            self._held = held.pop_all()
        return self

    def add(
        self,
        name: str,
        split: str,
        sample: Sample,
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        events: Iterable[Events] | None = None,
    ) -> None:
        """Store a clip; when this returns, a kill does not lose it.

        Args:
            events: the clip's events in pieces, in order of time, written as they come; `sample.events` is then empty.

        Raises:
            NeuvaError: if the name is taken or unknown, the sensor size is another one, the pieces run backwards or
                something cannot be stored.
        """
        if events is not None and len(sample.events):
            raise NeuvaError(f"{self.path}: clip {name} has events both in its sample and in pieces: give one of them")
        clip = StoredClip(name, split, sample, arrays or {}, events)
        part = self._next_part(name, split)
        with disk_errors(self.path, KEPT):
            fill_store(part, self.header, lambda store: store.add(clip))
        self._parts[name] = part

    def add_packed(self, name: str, split: str, packed: bytes) -> None:
        """Store a clip that `pack` made, with this writer's header, perhaps in another process.

        Raises:
            NeuvaError: if the name is taken or unknown or the disk cannot take it.
        """
        part = self._next_part(name, split)
        with disk_errors(self.path, KEPT), atomic_path(part) as temporary:
            temporary.write_bytes(packed)
        self._parts[name] = part

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            if kind is None:
                self._close()
            else:
                log.info("%s: stopped; %d finished clips are kept in %s", self.path, len(self._parts), self.folder)

    def _take_up(self) -> None:
        """Begin, or go on from what a stopped run with the same header left."""
        header = self.header.to_json()
        if self.folder.exists() and not (self._mark.exists() and self._mark.read_text() == header):
            log.warning("%s was begun with other settings or inputs: starting afresh", self.path)
            shutil.rmtree(self.folder)
        if not self._mark.exists():
            with disk_errors(self.path), atomic_path(self._mark) as temporary:
                temporary.write_text(header)
        self._parts = self._parts_left()
        if self._parts:
            log.info("%s: going on after %d finished clips", self.path, len(self._parts))

    def _close(self) -> None:
        missing = [name for name in self._clips or () if name not in self._parts]
        if missing:
            raise NeuvaError(f"{self.path}: {len(missing)} clips have not been added, the first {missing[0]}: add them")
        whole = self.folder / "whole.h5"
        with disk_errors(self.path, KEPT):
            fill_store(whole, self.header, self._join)
        whole.replace(self.path)
        self._mark.unlink()  # first: a folder without it is never taken up again
        shutil.rmtree(self.folder)

    def _join(self, store: StoreFile) -> None:
        for name in self._parts if self._clips is None else self._clips:
            with h5py.File(self._parts[name]) as part:
                found = _name(part)
                if found != name:
                    raise NeuvaError(
                        f"{self.path}: {self._parts[name].name} holds clip {found}, not {name}: two runs made this "
                        "store at once; run one of them again"
                    )
                self._copy(store, part)

    def _copy(self, store: StoreFile, part: h5py.File) -> None:
        try:
            store.copy(part)
        except OSError as error:
            if error.errno:  # the system's: the store cannot be written
                raise
            raise NeuvaError(
                f"{self.path}: its finished clip {part.filename} is damaged: remove that file and run again"
            ) from error

    def _next_part(self, name: str, split: str) -> Path:
        if name in self._parts:
            raise NeuvaError(f"{self.path}: clip {name} is there already: skip the names in `finished`")
        if self._clips is not None and self._clips.get(name) != split:
            raise NeuvaError(
                f"{self.path}: clip {name} of split {split} is not among those to come: give it in `clips`"
            )
        number = max((int(part.stem.removeprefix("clip-")) for part in self._parts.values()), default=-1) + 1
        return self.folder / f"clip-{number:06d}.h5"

    def _parts_left(self) -> dict[str, Path]:
        parts = {}
        for part in sorted(self.folder.glob("clip-*.h5")):
            found = _name_and_split(part)
            if found is None or (self._clips is not None and self._clips.get(found[0]) != found[1]):
                log.warning("%s: part %s is damaged or not wanted any more: dropped", self.path, part.name)
                part.unlink()
            else:
                parts[found[0]] = part
        return parts


def _name_and_split(part: Path) -> tuple[str, str] | None:
    try:
        with h5py.File(part) as file:
            return _name(file), file["clips/split"].asstr()[0]
    except (OSError, KeyError):
        return None


def _name(part: h5py.File) -> str:
    return part["clips/name"].asstr()[0]
