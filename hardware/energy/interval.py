"""Low, typical and high of a quantity that is not known exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

from neuva import NeuvaError

PREFIXES = {-12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k"}


@dataclass(frozen=True)
class Interval:
    """0 <= low <= typical <= high, in SI units.

    Sums and products take low with low and high with high: they hold whatever the dependence between the operands.
    A quotient takes low with high.

    Raises:
        NeuvaError: if the three are not finite and in order.
    """

    low: float
    typical: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.typical <= self.high < math.inf:
            raise NeuvaError(
                f"interval {self.low}, {self.typical}, {self.high}: allowed 0 <= low <= typical <= high, finite: "
                "put its bounds in order"
            )

    @classmethod
    def exact(cls, value: float) -> Interval:
        """A quantity that is known."""
        return cls(value, value, value)

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.typical + other.typical, self.high + other.high)

    def __mul__(self, other: Interval | float) -> Interval:
        by = other if isinstance(other, Interval) else Interval.exact(other)
        return Interval(self.low * by.low, self.typical * by.typical, self.high * by.high)

    __rmul__ = __mul__

    def __truediv__(self, other: Interval | float) -> Interval:
        by = other if isinstance(other, Interval) else Interval.exact(other)
        if by.low == 0:
            raise NeuvaError(f"{self} divided by {by}, allowed above 0: nothing was counted there")
        return Interval(self.low / by.high, self.typical / by.typical, self.high / by.low)

    def text(self, unit: str) -> str:
        """As "typical (low to high) unit", three digits, with the prefix that suits: "1.27 (0.63 to 6.3) uJ"."""
        power = _power_of_ten(self.typical or self.high)
        low, typical, high = (_digits(value / 10.0**power) for value in (self.low, self.typical, self.high))
        return f"{typical} ({low} to {high}) {PREFIXES[power]}{unit}"

    def to_dict(self) -> dict[str, float]:
        """For JSON."""
        return {"low": self.low, "typical": self.typical, "high": self.high}


ZERO = Interval.exact(0.0)


def amount(value: float, unit: str) -> str:
    """A quantity that is known, as "1.27 uJ"."""
    power = _power_of_ten(abs(value))
    return f"{_digits(value / 10.0**power)} {PREFIXES[power]}{unit}"


def _power_of_ten(size: float) -> int:
    power = 3 * math.floor(math.log10(size) / 3) if size else 0
    return min(max(power, min(PREFIXES)), max(PREFIXES))


def _digits(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
