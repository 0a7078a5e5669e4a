"""Clips of input spikes from a numpy file, for networks that no store of camera events suits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from conversion.fidelity import Clip
from neuva import NeuvaError
from snn.networks import NetworkSpec

SUFFIXES = (".npy", ".npz")


def read_spike_clips(path: Path, spec: NetworkSpec) -> list[Clip]:
    """Clips without labels, of whole numbers [T, B, C, H, W] or [T, C, H, W] in an .npy file, or alone in an .npz file.

    A network on (N,) inputs takes [T, B, N] or [T, N] as well.

    Raises:
        NeuvaError: if it is no such array, or its numbers do not suit the network's input.
    """
    counts = _read(path)
    shape = spec.input_shape
    ways = [shape] if shape[1:] != (1, 1) else [shape, shape[:1]]
    fits = [way for way in ways if counts.shape[-len(way) :] == way and counts.ndim - len(way) in (1, 2)]
    if not fits or not counts.size:
        raise NeuvaError(f"{path}: holds {counts.shape}, needed spikes [T, clips, {', '.join(map(str, shape))}]")
    if counts.dtype.kind not in "biuf" or not np.isfinite(counts).all() or np.any(counts != np.floor(counts)):
        raise NeuvaError(f"{path}: holds {counts.dtype} that are not whole numbers: give spikes or counts of them")
    most = 1 if spec.encoding == "binary" else np.iinfo(np.int16).max
    if counts.min() < 0 or counts.max() > most:
        raise NeuvaError(
            f"{path}: counts go from {counts.min()} to {counts.max()}, the network's input is {spec.encoding}, "
            f"allowed 0 to {most}"
        )
    batch = counts.shape[1] if counts.ndim - len(fits[0]) == 2 else 1
    whole = counts.reshape(len(counts), batch, *shape).astype(np.int16)
    return [_clip(f"{path.name}[{index}]", whole[:, index], spec.dt_us) for index in range(batch)]


def _clip(name: str, x: np.ndarray, dt_us: int) -> Clip:
    step, channel, y, column = np.repeat(np.argwhere(x), x[x > 0], axis=0).T
    events = np.zeros(len(step), [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
    events["t"], events["x"], events["y"], events["p"] = step * dt_us, column, y, channel
    return Clip(name, x, events, np.zeros((0, 2), np.float32), np.zeros(0, bool))


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
