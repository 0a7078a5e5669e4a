"""Whether a program fits its chip: placement, use of cores, and every finding of the chip's design rules."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from hardware.program import ChipProgram
from hardware.rules import CoreUse, Finding, findings


@dataclass(frozen=True)
class Check:
    """A program placed on its chip's cores, how full they are, and what the rules found."""

    program: ChipProgram
    cores: tuple[CoreUse, ...]
    findings: tuple[Finding, ...]

    @property
    def fits(self) -> bool:
        """Whether no finding is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-serialisable."""
        return {
            "target": self.program.target,
            "fits": self.fits,
            "cores_used": len(self.cores),
            "most_loaded": max((core.load for core in self.cores), default=0.0),
            "cores": [{**asdict(core), "load": core.load} for core in self.cores],
            "findings": [asdict(finding) for finding in self.findings],
        }


def check(program: ChipProgram) -> Check:
    """Place the program anew and apply all rules of its chip.

    Raises:
        NeuvaError: if there is no table for the program's target.
    """
    if program.family == "loihi":
        from hardware.loihi.place import place
        from hardware.loihi.rules import RULES
    else:
        from hardware.speck.cores import place
        from hardware.speck.rules import RULES
    placement, cores = place(program)
    placed = replace(program, placement=tuple(placement))
    return Check(placed, tuple(cores), tuple(findings(placed, RULES)))
