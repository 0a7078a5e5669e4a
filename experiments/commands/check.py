"""How `neuva check` shows a program on its chip: cores, time of a step, findings and advice, in 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from experiments.commands.options import console

if TYPE_CHECKING:
    from hardware.check import Check
    from hardware.loihi.timing import Work
    from hardware.rules import CoreUse


def print_cores(checked: Check) -> None:
    """A row a layer: its cores and what the fullest of them uses, with the limit; then which is the fullest of all."""
    if checked.cores:
        console.print(_table(checked))
    if any(len(cores) > 1 for cores in _by_layers(checked).values()):
        console.print("of several cores of a layer what the fullest uses; --json lists all")
    if checked.fullest:
        where = f"core {checked.fullest.core} ({', '.join(checked.fullest.layers)})"
        console.print(f"fullest: {where}, {checked.fullest.load:.0%} of its {checked.fullest.tightest}", markup=False)
    if checked.packing:
        console.print(f"packing assumed: {checked.packing}", markup=False)


def print_step_time(checked: Check) -> None:
    """Time of a step and what the busiest core does in it."""
    if checked.step_time is None:
        return
    known = all(timing.us for timing in checked.step_time.timings)
    console.print(f"time of a step (of {checked.step_time.dt_us:,} us in the program){'' if known else ': unknown'}")
    for timing in checked.step_time.timings:
        span = f"{timing.us[0]:,.1f} to {timing.us[1]:,.1f} us, " if timing.us else ""
        console.print(f"  {timing.when}: {span}{_work(timing.busiest)}", markup=False)
    if known:
        console.print("  estimated from published times, without traffic between cores and to the host:", markup=False)
    for reason in dict.fromkeys(checked.step_time.why.values()):
        figures = ", ".join(figure for figure, source in checked.step_time.why.items() if source == reason)
        console.print(f"  {figures}: {reason}", style="dim", markup=False)


def print_rates(checked: Check) -> None:
    """Synaptic operations a second of each core in a run's busiest window, against the ceiling assumed."""
    if not checked.rates:
        return
    table = Table(title="busiest 100 ms of the run", padding=(0, 0), pad_edge=False)
    table.add_column("core", justify="right")
    table.add_column("layer", overflow="fold")
    for head in ("synaptic operations/s", "load"):
        table.add_column(head, justify="right")
    for rate in checked.rates:
        table.add_row(str(rate.core), rate.layer, f"{rate.peak:,.0f}", f"{rate.load:.2%}")
    console.print(table)
    console.print(f"ceiling of a core: {checked.rates[0].ceiling:,.0f}/s, assumed: none is published", markup=False)


def print_findings(checked: Check) -> None:
    """Every finding with its cure, then what would make the program fit."""
    for finding in checked.findings:
        console.print(str(finding), style="red" if finding.severity == "error" else "yellow", markup=False)
    for advice in checked.advice:
        console.print(f"advice: {advice}", markup=False)
    if checked.too_large and not checked.advice:
        console.print("advice: no change of one layer or of all makes it fit: start from a smaller network")


def _by_layers(checked: Check) -> dict[tuple[str, ...], list[CoreUse]]:
    """Cores that hold the same layers, in the order of the first."""
    groups: dict[tuple[str, ...], list[CoreUse]] = {}
    for core in sorted(checked.cores, key=lambda core: core.core):
        groups.setdefault(core.layers, []).append(core)
    return groups


def _table(checked: Check) -> Table:
    """A limit that all cores share stands in the head."""
    table = Table(title=checked.program.target, padding=(0, 0), pad_edge=False)
    table.add_column("layers", overflow="fold")
    table.add_column("cores", justify="right")
    limits = {name: {core.use[name][1] for core in checked.cores} for name in checked.cores[0].use}
    for name, each in limits.items():
        limit = next(iter(each))
        head = "used/limit" if len(each) > 1 else "no known limit" if limit is None else f"of {limit:,}"
        table.add_column(f"{name}\n{head}", justify="right")
    table.add_column("load", justify="right")
    for layers, cores in _by_layers(checked).items():
        fullest = max(cores, key=lambda core: core.load)
        cells = [
            f"{used:,}" if len(limits[name]) == 1 else f"{used:,}/{limit:,}"
            for name, (used, limit) in fullest.use.items()
        ]
        table.add_row(" ".join(layers), str(len(cores)), *cells, f"{fullest.load:.0%}")
    return table


def _work(work: Work) -> str:
    done = {"synaptic operations": work.synops, "neuron updates": work.updates, "spikes": work.spikes}
    return f"core {work.core}: " + ", ".join(f"{count:,.0f} {name}" for name, count in done.items() if count)
