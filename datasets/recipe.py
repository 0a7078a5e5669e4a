"""How a data set becomes a store: one job a clip, each by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.sample import Sample

Made = tuple[Sample, Mapping[str, np.ndarray]]
"""A clip and its extra arrays (frames, action units, ...)."""


@dataclass(frozen=True)
class ClipJob:
    """One clip still to be made.

    name: of the clip, unique in the store. split: the one it belongs to. make: gives the clip; it can be pickled
    (a `functools.partial` of a module's function), and the same job gives the same bytes in any process.
    """

    name: str
    split: str
    make: Callable[[], Made]


@dataclass(frozen=True)
class Recipe:
    """A data set as it goes into a store.

    dataset: its name. sensor_size: (width, height) of every clip. provenance: source, settings, seed, version, and
    what a reader of results must know (that a split shares its subjects, that the faces are synthetic).
    jobs: the clips in the order of the store. inputs: files, and folders of files, that the clips are made from: a
    store begun with others, or before they changed, is begun anew.
    """

    dataset: str
    sensor_size: tuple[int, int]
    provenance: Mapping[str, Any]
    jobs: Sequence[ClipJob]
    inputs: Sequence[Path] = ()
