"""Numbers as a person reads them: SI prefixes, intervals, and a dash for what was not measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
ABSENT = "—"


def si(value: float, unit: str) -> str:
    """`value` to three significant digits with the SI prefix that leaves 1 to 999: 3.2e-6, "J" gives 3.2 µJ."""
    rounded = float(f"{value:.3g}")  # first, so that 999.9 µ becomes 1 m and not 1000 µ
    if rounded == 0 or not math.isfinite(rounded):
        return f"{rounded:g} {unit}"
    power = min(max(3 * math.floor(math.log10(abs(rounded)) / 3), min(PREFIXES)), max(PREFIXES))
    return f"{rounded / 10**power:.3g} {PREFIXES[power]}{unit}"


def interval(values: Sequence[float], unit: str) -> str:
    """(low, typical, high) as "3.2 µJ (1.1 µJ to 9.8 µJ)"; the typical value alone where all are equal."""
    low, typical, high = values
    if low == typical == high:
        return si(typical, unit)
    return f"{si(typical, unit)} ({si(low, unit)} to {si(high, unit)})"


def counted(number: int, noun: str) -> str:
    """A number of things whose plural ends in s: "1 clip", "2,000 clips"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plain(value: object, decimals: int = 3) -> str:
    """Any JSON value in words: 1,234 for whole numbers, fixed decimals for others, a dash for none.

    An exact zero is "0", so that it is not taken for a small number.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if not math.isfinite(value):
            return ABSENT
        return f"{value:,.{decimals}f}" if value else "0"
    return ABSENT if value is None or value == "" else str(value)
