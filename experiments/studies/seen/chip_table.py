"""Which part of SEEN a chip takes, and what it costs there, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.studies.seen.chips import LEAK
from experiments.studies.seen.clips import NAME
from experiments.studies.seen.config import SeenConfig
from experiments.studies.study import Cell, Results, Table
from hardware.energy.interval import Interval
from hardware.program import CHIPS

HEADINGS = ("part", "size", "where", "fits", "cores", "why, or what it takes", "M synops a clip", "energy a clip")
ADDED, TRUNK = "spiking addition of Js (0, 1 or 2)", "second, third and fc1 (spiking)"
ELSEWHERE = (
    ("frames: 1x1, three scales, attention, fusion", "host", "no", "no spikes; three kernels weighed by a softmax"),
    ("event frames: three scales, fusion, neurons", "host", "no", "grey levels weighed anew for each clip, not binary"),
    (ADDED, CHIPS["loihi2"], "as a bias", "Js is constant in a clip: the host writes fc1's bias for each"),
    (ADDED, CHIPS["speck2f"], "no", "a bias is added by the leak clock, not by a clip's steps"),
    ("last seven membranes", "host", "no", "Speck sends spikes alone; on Loihi 2 fc1's spikes are read too"),
)
"""What is not a matter of size: part, where, whether it fits, why."""


def chip_table(config: SeenConfig, results: Results) -> list[Table]:
    """A row for each part of the network, and for each size and chip of the part that converts."""
    found = results.get("chips")
    if found is None:
        return []
    fixed: list[tuple[Cell, ...]] = [
        (part, "any", at, fits, None, why, None, None) for part, at, fits, why in ELSEWHERE
    ]
    sizes = (("trained here", found["own"]), ("published", found["published"]))
    trunks = [_trunk(size, chip, told, found) for size, chips in sizes for chip, told in chips.items()]
    rows = (*fixed[:2], *trunks, *fixed[2:])
    return [Table("chips", "What a chip can take of it", HEADINGS, rows, _note(config, results, found))]


def _trunk(size: str, chip: str, told: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[Cell, ...]:
    leak = [LEAK] if chip.startswith("speck") else []
    why = "; ".join([*told["broken"], *(f"would fit with {each}" for each in told["advice"]), *leak])
    fits = "no" if not told["fits"] else "in size" if leak else "yes"
    cost = f"synops alone {Interval(**told['synop_joules']).text('J')}"
    if size == "trained here" and chip == "loihi2":
        cost = Interval(**found["emulated"]["joules"]).text("J")
    return (TRUNK, size, CHIPS[chip], fits, told["cores"], why or "all its rules hold", told["synops"] / 1e6, cost)


def _note(config: SeenConfig, results: Results, found: Mapping[str, Any]) -> str:
    same = found["emulated"]
    rates = ", ".join(f"{rate:.1%}" for rate in found["rates"])
    drawn = "; synthetic eyes" if results.get(NAME, {}).get("synthetic") else ""
    return (
        f"Network of {config.deployed}, {same['clips']} test clips of {found['steps']} steps; on Loihi 2's integers "
        f"{same['same']} answers are the float network's, {same['mismatch']:.2%} of fc1's spikes differ. conv1, conv2 "
        f"and dense3 of the programs are second, third and fc1; what they hear sends at {rates} a neuron and step, and "
        "synops are counted from these rates, for the published size too. Energies are intervals of assumed figures; "
        f"Loihi 2's is without static power, which nobody has published. A dash: nothing of it is on that chip, or it "
        f"could not be placed{drawn}"
    )
