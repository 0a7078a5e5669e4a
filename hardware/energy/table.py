"""Energies of a chip's operations as a table (one YAML file a chip), with a source beside each number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hardware.energy.interval import Interval
from neuva import NeuvaError

FOLDER = Path(__file__).parent
BOUNDS = ("low", "typical", "high")
UNITS = {"pJ": 1e-12, "nJ": 1e-9, "uW": 1e-6, "mW": 1e-3, "spikes/neuron/step": 1.0}


@dataclass(frozen=True)
class Figure:
    """One figure: what it is, its interval in SI units, and the source of each bound ("assumption: ..." if none)."""

    what: str
    interval: Interval
    unit: str
    sources: dict[str, str]


@dataclass(frozen=True)
class EnergyTable:
    """A chip's figures.

    figures: energy per operation in joules: "synop", "update", "spike" of a chip; "mac", "bit" of the baseline.
    static: power drawn whatever happens, in watts; empty if no figure is published.
    beside: static power that is not the processor's, in watts: reported, not counted.
    published: power of other networks on the chip, in watts, for orientation.
    notes: what is left out, in words.
    """

    name: str
    title: str
    figures: dict[str, Figure]
    static: dict[str, Figure]
    beside: dict[str, Figure]
    published: dict[str, Figure]
    notes: tuple[str, ...]

    @classmethod
    def load(cls, name: str) -> EnergyTable:
        """The table called `name`.

        Raises:
            NeuvaError: if there is none.
        """
        return _load(name)

    @classmethod
    def from_dict(cls, name: str, values: dict[str, Any]) -> EnergyTable:
        """From a YAML file's content.

        Raises:
            NeuvaError: if a figure lacks its unit, a bound or a source, or its bounds are not in order.
        """
        groups = {
            group: {key: _figure(f"{name}, {group} {key}", entry) for key, entry in values.get(group, {}).items()}
            for group in ("figures", "static", "beside", "published")
        }
        return cls(name, str(values.get("title", name)), **groups, notes=tuple(values.get("notes", ())))

    def __getitem__(self, key: str) -> Interval:
        """The interval of figure `key`.

        Raises:
            NeuvaError: if the table has no such figure.
        """
        if key not in self.figures:
            raise NeuvaError(f"energy table {self.name} has no figure {key}, only {', '.join(self.figures)}: add it")
        return self.figures[key].interval

    def sources(self) -> list[dict[str, Any]]:
        """Every number with its unit and source, one entry a bound."""
        scale = {figure.unit: UNITS[figure.unit] for _, _, figure in self._all()}
        return [
            {
                "figure": f"{group}: {key}" if group != "figures" else key,
                "what": figure.what,
                "bound": bound,
                "value": float(f"{getattr(figure.interval, bound) / scale[figure.unit]:.6g}"),
                "unit": figure.unit,
                "source": figure.sources[bound],
            }
            for group, key, figure in self._all()
            for bound in BOUNDS
        ]

    def _all(self) -> list[tuple[str, str, Figure]]:
        groups = {"figures": self.figures, "static": self.static, "beside": self.beside, "published": self.published}
        return [(group, key, figure) for group, entries in groups.items() for key, figure in entries.items()]


def names() -> list[str]:
    """The tables there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def _load(name: str) -> EnergyTable:
    return EnergyTable.from_dict(name, _values(name))


def _values(name: str) -> dict[str, Any]:
    """A file's content over that of the table it extends."""
    if name not in names():
        raise NeuvaError(f"no energy table for {name}: choose one of {', '.join(names())} or add {name}.yaml")
    values: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return (_values(values["extends"]) | values) if "extends" in values else values


def _figure(where: str, entry: dict[str, Any]) -> Figure:
    try:
        unit, what = entry["unit"], entry["what"]
        bounds = {bound: float(entry[bound]["value"]) * UNITS[unit] for bound in BOUNDS}
        sources = {bound: str(entry[bound]["source"]) for bound in BOUNDS}
    except (KeyError, TypeError, ValueError) as error:
        raise NeuvaError(
            f"energy table {where}: {error!r}; a figure needs what, a unit of {', '.join(UNITS)}, and low, typical "
            "and high with value and source each"
        ) from error
    try:
        return Figure(str(what), Interval(**bounds), unit, sources)
    except NeuvaError as error:
        raise NeuvaError(f"energy table {where}: {error}") from error
