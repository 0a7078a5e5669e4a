"""What the energy of runs comes to: by kind, layer and core, an inference and a second."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hardware.energy.interval import ZERO, Interval, amount


@dataclass(frozen=True)
class Split:
    """Dynamic energy by kind, joules (or watts, where a report gives it per second)."""

    synops: Interval = ZERO
    updates: Interval = ZERO
    spikes: Interval = ZERO

    @property
    def total(self) -> Interval:
        """All three."""
        return self.synops + self.updates + self.spikes

    def __add__(self, other: Split) -> Split:
        return Split(self.synops + other.synops, self.updates + other.updates, self.spikes + other.spikes)

    def __truediv__(self, by: float) -> Split:
        return Split(self.synops / by, self.updates / by, self.spikes / by)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        kinds = {"synops": self.synops, "updates": self.updates, "spikes": self.spikes, "total": self.total}
        return {kind: value.to_dict() for kind, value in kinds.items()}


@dataclass(frozen=True)
class Part:
    """One layer on one core over all runs: the counts used and their energy in joules.

    layer "input" with core None: spikes that came in from outside and were routed to the first layer.
    """

    layer: str
    core: int | None
    synops: int
    updates: int
    spikes: int
    energy: Split


@dataclass(frozen=True)
class EnergyReport:
    """What runs of a program cost.

    inferences: estimates in all runs; seconds: length of all runs.
    static_power: of the processor, watts; None if no figure is published, and then left out of every total.
    beside_power: static power of parts beside the processor, watts, never in a total.
    published_power: total power of other networks on the chip, watts, for orientation.
    measured: joules of all runs by a board's supply rail, and as "processor" the sum of the rails that the static
    power is of: what compares to the model's total. Empty where not all runs were measured.
    """

    target: str
    backends: tuple[str, ...]
    inferences: int
    seconds: float
    parts: tuple[Part, ...]
    static_power: Interval | None
    beside_power: dict[str, Interval]
    published_power: dict[str, Interval]
    notes: tuple[str, ...]
    sources: list[dict[str, Any]]
    measured: dict[str, float] = field(default_factory=dict)

    @property
    def dynamic(self) -> Split:
        """Dynamic energy of all runs, joules."""
        return _sum(self.parts)

    @property
    def per_inference(self) -> dict[str, Interval]:
        """Joules an estimate: "synops", "updates", "spikes", "static" where known, "total"."""
        static = None if self.static_power is None else self.static_power * self.seconds / self.inferences
        return _with_static(self.dynamic / self.inferences, static)

    @property
    def per_second(self) -> dict[str, Interval]:
        """Watts, of the same kinds."""
        return _with_static(self.dynamic / self.seconds, self.static_power)

    @property
    def measured_per_inference(self) -> dict[str, float]:
        """Joules an estimate, of the same rails as `measured`."""
        return {rail: joules / self.inferences for rail, joules in self.measured.items()}

    @property
    def measured_per_second(self) -> dict[str, float]:
        """Watts, of the same rails as `measured`."""
        return {rail: joules / self.seconds for rail, joules in self.measured.items()}

    @property
    def by_layer(self) -> dict[str, Split]:
        """Dynamic joules an estimate, "input" included."""
        layers = dict.fromkeys(part.layer for part in self.parts)
        return {name: _sum(part for part in self.parts if part.layer == name) / self.inferences for name in layers}

    @property
    def by_core(self) -> dict[int, Split]:
        """Dynamic joules an estimate; core -1 holds what was not placed."""
        cores = sorted({part.core for part in self.parts if part.core is not None})
        return {core: _sum(part for part in self.parts if part.core == core) / self.inferences for core in cores}

    @property
    def busiest_core(self) -> int:
        """The core that costs most."""
        return max(self.by_core, key=lambda core: self.by_core[core].total.typical)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: joules and watts as {low, typical, high}, counts, notes and sources."""
        return {
            "target": self.target,
            "backends": list(self.backends),
            "inferences": self.inferences,
            "seconds": self.seconds,
            "per_inference_J": {kind: value.to_dict() for kind, value in self.per_inference.items()},
            "per_second_W": {kind: value.to_dict() for kind, value in self.per_second.items()},
            "measured_per_inference_J": self.measured_per_inference,
            "measured_per_second_W": self.measured_per_second,
            "by_layer_J": {name: split.to_dict() for name, split in self.by_layer.items()},
            "by_core_J": {str(core): split.to_dict() for core, split in self.by_core.items()},
            "busiest_core": self.busiest_core,
            "static_known": self.static_power is not None,
            "beside_W": {name: power.to_dict() for name, power in self.beside_power.items()},
            "published_W": {name: power.to_dict() for name, power in self.published_power.items()},
            "counts": [
                {key: getattr(part, key) for key in ("layer", "core", "synops", "updates", "spikes")}
                for part in self.parts
            ],
            "notes": list(self.notes),
            "sources": self.sources,
        }

    def __str__(self) -> str:
        many = "s" if self.inferences != 1 else ""
        lines = [f"{self.target}: {self.inferences} inference{many} in {self.seconds:.3g} s"]
        watts = self.per_second
        for kind, joules in self.per_inference.items():
            lines.append(f"  {kind:8s} {joules.text('J')} an inference, {watts[kind].text('W')}")
        for rail, measured in self.measured_per_inference.items():
            power = amount(self.measured_per_second[rail], "W")
            lines.append(f"  measured {rail} {amount(measured, 'J')} an inference, {power}")
        if self.static_power is None:
            lines.append("  static   unknown, left out")
        lines.extend(f"  beside   {name} {power.text('W')}, not counted" for name, power in self.beside_power.items())
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def _sum(parts: Iterable[Part]) -> Split:
    return sum((part.energy for part in parts), Split())


def _with_static(dynamic: Split, static: Interval | None) -> dict[str, Interval]:
    kinds = {"synops": dynamic.synops, "updates": dynamic.updates, "spikes": dynamic.spikes}
    if static is None:
        return kinds | {"total": dynamic.total}
    return kinds | {"static": static, "total": dynamic.total + static}
