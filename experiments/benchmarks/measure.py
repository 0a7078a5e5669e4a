"""Measuring, and the table a benchmark gives."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """A title, the columns' names, rows of cells (None: not measured), and what must be known to read it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark found: its name, tables, and the machine it ran on."""

    name: str
    tables: Sequence[Table]
    machine: str = field(default_factory=lambda: f"{platform.machine()}, {os.cpu_count()} cores")


def best_of(work: Callable[[], Any], *, seconds: float = 2.0, least: int = 3) -> float:
    """The shortest time of several runs, in seconds: noise on a shared machine only adds.

    Runs `work` once unmeasured (compilation, caches), then until `seconds` have gone by, at least `least` times.
    """
    work()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < least or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
