"""What a run of a program gives, whoever ran it: emulator, Lava, sinabs or a device."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hardware.power import Power
from hardware.program import Readout, Shape
from neuva import NeuvaError, atomic_path

SCHEMA = 1


@dataclass(frozen=True)
class Spikes:
    """Spikes of one layer, sparse, sorted by time and then neuron.

    shape: (C, H, W) of the layer's neurons (before pooling).
    t: int64 microseconds since the start of the run; a clocked run stamps step k with k * dt.
    neuron: int32, flat index in (C, H, W) order. count: int32, spikes at that time (> 0).
    """

    shape: Shape
    t: np.ndarray
    neuron: np.ndarray
    count: np.ndarray

    @classmethod
    def from_dense(cls, dense: np.ndarray, dt_us: int) -> Spikes:
        """From counts [T, C, H, W] per step of dt."""
        flat = dense.reshape(len(dense), int(np.prod(dense.shape[1:])))
        step, neuron = np.nonzero(flat)
        shape = (int(dense.shape[1]), int(dense.shape[2]), int(dense.shape[3]))
        return cls(shape, step.astype(np.int64) * dt_us, neuron.astype(np.int32), flat[step, neuron].astype(np.int32))

    def dense(self, steps: int, dt_us: int) -> np.ndarray:
        """Counts int32 [T, C, H, W] per step of dt; later spikes are left out."""
        out = np.zeros((steps, int(np.prod(self.shape))), np.int32)
        step = self.t // dt_us
        keep = step < steps
        np.add.at(out, (step[keep], self.neuron[keep]), self.count[keep])
        return out.reshape(steps, *self.shape)

    @property
    def total(self) -> int:
        """Number of spikes."""
        return int(self.count.sum())


@dataclass(frozen=True)
class CoreCounts:
    """What one core did in a run, for one layer's slice on it (exact, borders included).

    synops: synaptic operations (a spike times each synapse it drives).
    updates: neuron updates (neurons times steps where clocked; states touched where event-driven).
    spikes: spikes sent.
    """

    core: int
    layer: str
    synops: int
    updates: int
    spikes: int


@dataclass(frozen=True)
class Trace:
    """A run's result.

    backend: "emulator", "emulator-events", "lava", "sinabs", or a device's name.
    times: int64 [N], microseconds since the start of the run, of the estimates; each is the time of the
    input it speaks of (the pipeline's delay of `latency_steps` steps is taken out).
    va: float32 [N, K], the read-out's outputs: valence and arousal, or what else the program gives; K = 0 without one.
    spikes: per layer name, with "input" for what went in; delay taken out alike, so step k of each
    layer answers step k of the input.
    u, v: optional int32 [T, C, H, W] per layer, delay taken out.
    counts: per core; duration_us: length of the run; notes: overflows, drops and the like, and what was run
    (`hardware.origin`). power: what a board drew, None where nobody measured it.
    """

    target: str
    backend: str
    dt_us: int
    duration_us: int
    times: np.ndarray
    va: np.ndarray
    spikes: dict[str, Spikes]
    counts: tuple[CoreCounts, ...]
    latency_steps: int = 0
    u: dict[str, np.ndarray] = field(default_factory=dict)
    v: dict[str, np.ndarray] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    power: Power | None = None

    def save(self, path: str | Path) -> None:
        """Write as HDF5 under a temporary name, then rename."""
        with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
            file.attrs["format"], file.attrs["schema"] = "neuva-trace", SCHEMA
            for key in ("target", "backend", "dt_us", "duration_us", "latency_steps"):
                file.attrs[key] = getattr(self, key)
            file.attrs["counts"] = json.dumps([vars(core) for core in self.counts])
            file.attrs["notes"] = json.dumps(self.notes)
            file["times"], file["va"] = self.times, self.va
            for name, spikes in self.spikes.items():
                group = file.create_group(f"spikes/{name}")
                group.attrs["shape"] = spikes.shape
                for key in ("t", "neuron", "count"):
                    group.create_dataset(key, data=getattr(spikes, key), compression="gzip")
            for key in ("u", "v"):
                for name, values in getattr(self, key).items():
                    file.create_dataset(f"{key}/{name}", data=values, compression="gzip")
            if self.power is not None:
                self.power.save(file.create_group("power"))

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read a trace.

        Raises:
            NeuvaError: if the file is no trace, is damaged, or has another schema version.
        """
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("format") != "neuva-trace" or file.attrs["schema"] != SCHEMA:
                    raise NeuvaError(f"{path}: not a trace of schema {SCHEMA}: make one with `neuva run`")
                return cls(
                    target=str(file.attrs["target"]),
                    backend=str(file.attrs["backend"]),
                    dt_us=int(file.attrs["dt_us"]),
                    duration_us=int(file.attrs["duration_us"]),
                    latency_steps=int(file.attrs["latency_steps"]),
                    times=file["times"][()],
                    va=file["va"][()],
                    spikes={name: _load_spikes(group) for name, group in file.get("spikes", {}).items()},
                    counts=tuple(CoreCounts(**core) for core in json.loads(file.attrs["counts"])),
                    u={name: values[()] for name, values in file.get("u", {}).items()},
                    v={name: values[()] for name, values in file.get("v", {}).items()},
                    notes=json.loads(file.attrs["notes"]),
                    power=Power.load(file["power"]) if "power" in file else None,
                )
        except Exception as error:  # a damaged file makes h5py raise almost anything
            if str(error).startswith(str(path)):
                raise
            raise NeuvaError(f"{path}: not a readable trace ({error}): make one with `neuva run`") from error


def apply_readout(readout: Readout | None, spikes: np.ndarray, dt_us: int) -> tuple[np.ndarray, np.ndarray]:
    """The outputs (valence and arousal) from the last layer's spikes, on the host; none without a read-out.

    r[t] = decay r[t-1] + s[t];  y[t] = clip(weight r[t] + offset, -limit, limit), given every `every` steps,
    at the end of those steps.

    Args:
        spikes: counts [T, N] per step (what the last layer sends, flattened).

    Returns:
        times int64 [M] in microseconds since the start and y float32 [M, K].
    """
    if readout is None:
        return np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
    trace = np.zeros(spikes.shape[1], np.float64)
    steps = np.arange(readout.every - 1, len(spikes), readout.every)
    y = np.empty((len(spikes), len(readout.weight)), np.float64)
    for step, row in enumerate(spikes):
        trace = readout.decay * trace + row
        y[step] = readout.weight @ trace + readout.offset
    return (steps + 1) * dt_us, np.clip(y[steps], -readout.limit, readout.limit).astype(np.float32)


def _load_spikes(group: h5py.Group) -> Spikes:
    c, h, w = (int(side) for side in group.attrs["shape"])
    return Spikes((c, h, w), group["t"][()], group["neuron"][()], group["count"][()])
