"""Design rules: small functions named after the rule; every finding is reported, not only the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from hardware.program import ChipProgram

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """A rule that a program breaks: where, what was measured, what is allowed, and the cure."""

    rule: str
    severity: Severity
    where: str
    measured: str
    limit: str
    cure: str

    def __str__(self) -> str:
        return f"{self.severity} {self.rule} at {self.where}: {self.measured}, allowed {self.limit}: {self.cure}"


Rule = Callable[[ChipProgram], Iterable[Finding]]


def findings(program: ChipProgram, rules: Iterable[Rule]) -> list[Finding]:
    """All findings of all rules, in the rules' order."""
    return [finding for rule in rules for finding in rule(program)]


Use = dict[str, tuple[int, int | None]]
"""Resource -> (used, limit); None where no limit is known."""


@dataclass(frozen=True)
class CoreUse:
    """How much of one core's resources a program uses."""

    core: int
    layers: tuple[str, ...]
    use: Use

    @property
    def load(self) -> float:
        """The largest share used of any resource with a limit."""
        return max(self._shares.values(), default=0.0)

    @property
    def tightest(self) -> str:
        """The resource of which the largest share is used."""
        return max(self._shares, key=self._shares.__getitem__, default="")

    @property
    def _shares(self) -> dict[str, float]:
        return {what: used / limit for what, (used, limit) in self.use.items() if limit}
