"""Whether a program fits its chip: placement, use of cores, time of a step, the rules' findings and what would help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from hardware.advice import Advice, advise
from hardware.loihi.timing import StepTime, step_time
from hardware.program import ChipProgram
from hardware.rules import CoreUse, Finding, Rule, findings
from hardware.trace import Trace

if TYPE_CHECKING:
    from hardware.speck.rates import CoreRate


@dataclass(frozen=True)
class Check:
    """A program placed on its chip's cores, how full they are, and what the rules found.

    packing: how layers are taken to lie in a core's memory, where that is a choice ("" on Speck).
    step_time: None on Speck, which has no steps, and where nothing could be placed.
    rates: what Speck's cores do a second, if a trace was given.
    too_large: whether a rule is broken that another size of the network mends; advice: the smallest changes that do.
    """

    program: ChipProgram
    cores: tuple[CoreUse, ...]
    findings: tuple[Finding, ...]
    packing: str = ""
    step_time: StepTime | None = None
    rates: tuple[CoreRate, ...] = ()
    too_large: bool = False
    advice: tuple[Advice, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether no finding is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def fullest(self) -> CoreUse | None:
        """The core with the largest share of a resource used."""
        return max(self.cores, key=lambda core: core.load, default=None)

    def to_dict(self) -> dict[str, Any]:
        """The figures, JSON-serialisable."""
        return {
            "target": self.program.target,
            "fits": self.fits,
            "cores_used": len(self.cores),
            "most_loaded": self.fullest.load if self.fullest else 0.0,
            "cores": [{**asdict(core), "load": core.load} for core in self.cores],
            "packing": self.packing,
            "step_time": self.step_time and self.step_time.to_dict(),
            "rates": [asdict(rate) for rate in self.rates],
            "findings": [asdict(finding) for finding in self.findings],
            "advice": [{"change": each.change, "synapses_lost": each.lost} for each in self.advice],
        }


def check(program: ChipProgram, trace: Trace | None = None) -> Check:
    """Place the program anew and apply all rules of its chip.

    Args:
        program: any, also one that does not fit.
        trace: of a run of it, for the time that a step really takes (Loihi) or whether cores keep up (Speck).

    Raises:
        NeuvaError: if there is no table for the program's target, or the trace is of another program.
    """
    place, rules, size_rules = _chip(program)

    def judged(candidate: ChipProgram, rules: list[Rule]) -> Check:
        placement, cores = place(candidate)
        placed = replace(candidate, placement=tuple(placement))
        return Check(placed, tuple(cores), tuple(findings(placed, rules)))

    found = judged(program, rules)
    if not replace(found, findings=tuple(findings(found.program, size_rules))).fits:
        found = replace(found, too_large=True, advice=advise(program, lambda each: judged(each, size_rules).fits))
    if program.family == "loihi":
        from hardware.loihi.place import PACKING

        found = replace(found, packing=PACKING, step_time=step_time(found.program, trace))
    elif trace is not None:
        from hardware.speck.rates import rates, synops_per_second

        busy = tuple(rates(found.program, trace))
        found = replace(found, rates=busy, findings=(*found.findings, *synops_per_second(busy)))
    return found


def _chip(program: ChipProgram) -> tuple[Callable[..., tuple[Any, list[CoreUse]]], list[Rule], list[Rule]]:
    """How a program is placed on its chip, all rules of the chip, and those that another size mends."""
    if program.family == "loihi":
        from hardware.loihi import place, rules

        return place.place, rules.RULES, rules.SIZE_RULES
    from hardware.speck import cores
    from hardware.speck import rules as speck

    return cores.place, speck.RULES, speck.SIZE_RULES
