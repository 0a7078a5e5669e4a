"""The groups of a lava-dl `.net` file (HDF5), read with checks: words, whole numbers, shapes."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from hardware.program import Shape
from hardware.structure import check_sides
from neuva import NeuvaError


class Part:
    """One layer's group, read with checks; `name` is for errors and for the program."""

    def __init__(self, number: int, group: Any) -> None:
        if not isinstance(group, h5py.Group):
            raise NeuvaError(f"layer {number}: is no group: export it again")
        self.name, self._group = str(number), group
        self.kind = self.text("type")
        self.name = f"{self.kind}{number}"

    def error(self, what: str) -> NeuvaError:
        """An error that names the layer."""
        return NeuvaError(f"layer {self.name}: {what}")

    def has(self, key: str) -> bool:
        """Whether the layer has such a dataset or group."""
        return key in self._group

    def text(self, key: str) -> str:
        """A dataset's word, written as bytes or text, alone or in a list of one."""
        value = np.atleast_1d(self._read(key)).ravel()[:1]
        word = value[0] if len(value) else ""
        return word.decode("ascii", "replace") if isinstance(word, bytes) else str(word)

    def ints(self, key: str, low: int, high: int) -> np.ndarray:
        """A dataset's whole numbers, int64.

        Raises:
            NeuvaError: if it is missing, or holds anything else or beyond low..high.
        """
        values = np.asarray(self._read(key))
        if values.dtype.kind not in "biuf" or not values.size:
            raise self.error(f"{key} holds {values.dtype} {list(values.shape)}, needed numbers: export it again")
        wrong = values[~(np.isfinite(values) & (values == np.floor(values)) & (values >= low) & (values <= high))]
        if len(np.atleast_1d(wrong)):
            raise self.error(
                f"{key} holds {np.atleast_1d(wrong)[0]:g}, allowed whole numbers {low}..{high}: export it so"
            )
        return values.astype(np.int64)

    def one(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A number that is the same for the whole layer."""
        if default is not None and not self.has(key):
            return default
        values = self.ints(key, low, high)
        if np.any(values != values.flat[0]):
            raise self.error(f"{key} differs between neurons, allowed one value a layer: train with shared_param=True")
        return int(values.flat[0])

    def pair(self, key: str, low: int) -> tuple[int, int]:
        """(y, x), one number standing for both."""
        values = self.ints(key, low, 1 << 16).ravel()
        if len(values) > 2:
            raise self.error(f"{key} has {len(values)} numbers, allowed 2: export it again")
        return int(values[0]), int(values[-1])

    def shape(self) -> Shape:
        """(C, H, W) of its neurons, (N, 1, 1) where there is no map."""
        sides = [int(side) for side in self.ints("shape", 1, 1 << 31).ravel()]
        if len(sides) not in (1, 3):
            raise self.error(f"shape has {len(sides)} numbers, allowed 1 or 3 (C, H, W): export it again")
        shape = (sides[0], 1, 1) if len(sides) == 1 else (sides[0], sides[1], sides[2])
        check_sides(f"layer {self.name}", shape)
        return shape

    def _read(self, key: str) -> Any:
        if key not in self._group:
            raise self.error(f"has no {key}: export it again")
        if not isinstance(self._group[key], h5py.Dataset):
            raise self.error(f"{key} is a group (complex weights?), needed numbers: only real ones are converted")
        return self._group[key][()]


def parts(file: h5py.File) -> list[Part]:
    """The file's layers in order.

    Raises:
        NeuvaError: if it has none, or one is missing.
    """
    if not isinstance(file.get("layer"), h5py.Group) or not len(file["layer"]):
        raise NeuvaError("has no layers: export it with slayer's export_hdf5")
    groups = file["layer"]
    missing = [number for number in range(len(groups)) if str(number) not in groups]
    if missing:
        raise NeuvaError(f"holds layers {', '.join(groups)}, but no layer {missing[0]}: export it again")
    return [Part(number, groups[str(number)]) for number in range(len(groups))]
