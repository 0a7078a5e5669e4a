"""Power drawn from a board's supply rails while it ran a program, and the energy that comes to."""

from __future__ import annotations

import json
from dataclasses import dataclass

import h5py
import numpy as np

from neuva import NeuvaError


@dataclass(frozen=True)
class Power:
    """Samples of all rails in the order they came; those before the run's start and after its end are kept too.

    rails: names. t: int64 [N], microseconds since the start of the run. rail: int8 [N], which of `rails`.
    watts: float64 [N].

    Raises:
        NeuvaError: if the columns are not of one length, or a sample is of no rail.
    """

    rails: tuple[str, ...]
    t: np.ndarray
    rail: np.ndarray
    watts: np.ndarray

    def __post_init__(self) -> None:
        known = np.isin(self.rail, np.arange(len(self.rails))).all()
        if not len(self.t) == len(self.rail) == len(self.watts) or not known:
            raise NeuvaError(
                f"power has {len(self.t)} times, {len(self.rail)} rails and {len(self.watts)} values, or a rail that "
                f"is none of {len(self.rails)}: record the run again"
            )

    def silent(self) -> tuple[str, ...]:
        """Rails that were never sampled."""
        return tuple(name for index, name in enumerate(self.rails) if not (self.rail == index).any())

    def joules(self, duration_us: int) -> dict[str, float]:
        """Energy of each rail over the run: the integral of P from 0 to `duration_us`.

        P is straight between samples and constant before the first and after the last (trapezoid rule).

        Raises:
            NeuvaError: if a rail was never sampled.
        """
        if self.silent():
            raise NeuvaError(f"power of {', '.join(self.silent())} was never sampled: record a longer run")
        return {name: self._integral(index, duration_us) for index, name in enumerate(self.rails)}

    def _integral(self, rail: int, duration_us: int) -> float:
        order = np.argsort(self.t[self.rail == rail], kind="stable")
        t, watts = self.t[self.rail == rail][order], self.watts[self.rail == rail][order]
        edges = np.r_[0, t[(t > 0) & (t < duration_us)], duration_us]
        return float(np.trapezoid(np.interp(edges, t, watts), edges) * 1e-6)

    def save(self, group: h5py.Group) -> None:
        """Write into a trace's file."""
        group.attrs["rails"] = json.dumps(self.rails)
        for key in ("t", "rail", "watts"):
            group[key] = getattr(self, key)

    @classmethod
    def load(cls, group: h5py.Group) -> Power:
        """Read from a trace's file."""
        rails = tuple(json.loads(group.attrs["rails"]))
        return cls(rails, group["t"][()], group["rail"][()], group["watts"][()])
