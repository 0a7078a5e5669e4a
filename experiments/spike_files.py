"""Input spikes from a numpy file, for whatever takes them in place of camera events."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hardware.program import Shape
from neuva import NeuvaError

SUFFIXES = (".npy", ".npz")


def holds_spikes(path: Path, shape: Shape) -> bool:
    """Whether a file is a numpy file of input spikes and not one of events (t, x, y, p), for an input of (C, H, W)."""
    if path.suffix not in SUFFIXES or not path.exists():
        return False
    try:
        array = _read(path)
    except NeuvaError:  # whatever is wrong with it, the readers of event files say it
        return False
    table = array.ndim == 2 and array.shape[1] == 4 and shape != (4, 1, 1)
    return array.dtype.names is None and array.ndim > 1 and not table


def read_spikes(path: Path, shape: Shape, encoding: str) -> np.ndarray:
    """Spikes or counts of them, integers [T, clips, C, H, W], for an input of (C, H, W).

    The file holds whole numbers [T, clips, C, H, W] or [T, C, H, W] as .npy, or alone in an .npz file; for an input of
    (N, 1, 1) also [T, clips, N] or [T, N].

    Args:
        path: the file.
        shape: of the input.
        encoding: "binary" or "counts".

    Raises:
        NeuvaError: if it is no such array, or its numbers do not suit the input.
    """
    counts = _read(path)
    ways = [shape] if shape[1:] != (1, 1) else [shape, shape[:1]]
    fits = [way for way in ways if counts.shape[-len(way) :] == way and counts.ndim - len(way) in (1, 2)]
    if not fits or not counts.size:
        found = f"{counts.dtype} {list(counts.shape)}"
        sides = ", ".join(map(str, shape))
        raise NeuvaError(f"{path}: holds {found}, needed spikes [T, {sides}] or [T, clips, {sides}]")
    if counts.dtype.kind not in "biuf" or not np.isfinite(counts).all() or np.any(counts != np.floor(counts)):
        raise NeuvaError(f"{path}: holds {counts.dtype} that are not whole numbers, needed spikes or counts of them")
    most = 1 if encoding == "binary" else np.iinfo(np.int32).max
    if counts.min() < 0 or counts.max() > most:
        raise NeuvaError(
            f"{path}: holds numbers from {counts.min():g} to {counts.max():g}, needed 0 to {most} for an input that is "
            f"{encoding}"
        )
    clips = counts.shape[1] if counts.ndim - len(fits[0]) == 2 else 1
    small = counts.max() <= np.iinfo(np.int16).max
    return counts.reshape(len(counts), clips, *shape).astype(np.int16 if small else np.int32)


def _read(path: Path) -> np.ndarray:
    if not path.exists():
        raise NeuvaError(f"{path}: no such file")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as arrays:
            names = arrays.files
            return arrays[names[0]] if len(names) == 1 else np.empty(0)
    except Exception as error:  # numpy and zipfile raise almost anything on a damaged file
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NeuvaError(f"{path}: not a readable numpy file ({line}): save one array of spikes") from error
