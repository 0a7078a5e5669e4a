"""How `neuva verify` shows a certificate, in 80 columns."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from experiments.commands.options import console
from experiments.units import counted


def print_certificate(figures: dict[str, Any]) -> None:
    """Each pair of levels, what the levels are worth against labels, and the verdict."""
    console.print(_pairs(figures["fidelity"]))
    if figures["metrics"] is None:
        console.print("no valence and arousal to compare with labels: levels are compared by spikes and outputs alone")
    for level, metrics in (figures["metrics"] or {}).items():
        ccc = "undefined" if metrics["ccc"] is None else f"{metrics['ccc']:.3f}"
        console.print(f"{level}: mean CCC {ccc} on {counted(metrics['clips'], 'clip')}")
    for level in figures["not_run"]:
        console.print(f"{level}: not run", style="yellow")
    console.print(_said(figures["verdict"]), markup=False)


def _pairs(fidelity: list[dict[str, Any]]) -> Table:
    """Two lines a pair: a level and the one after it, with the spikes of all layers in each."""
    table = Table(title="fidelity", padding=(0, 1), show_lines=True)
    table.add_column("from\nto", no_wrap=True)
    for head in ("clips", "spikes", "mis-\nmatched", "rate\ncorr.", "outputs\ndiffer"):
        table.add_column(head, justify="right", no_wrap=True)
    for pair in fidelity:
        layers, output = pair["layers"], pair["output"]
        known = [each["rate_correlation"] for each in layers if each["rate_correlation"] is not None]
        allowed = "\n(must be 0)" if pair["must_be_equal"] else ""
        table.add_row(
            f"{pair['from']}\n{pair['to']}",
            str(pair["clips"]),
            "\n".join(f"{sum(each[side] for each in layers):,}" for side in ("spikes_from", "spikes_to")),
            f"{sum(each['mismatches'] for each in layers):,}{allowed}",
            f"{min(known):.3f}" if known else "none",
            f"{output['largest_difference']:.4f}" if output else "none",
        )
    table.caption = "rate corr.: of the neurons' mean rates, the smallest over layers"
    return table


def _said(verdict: dict[str, Any]) -> str:
    if not verdict["pass"]:
        return f"FAIL: {'; '.join(verdict['reasons'])}"
    if verdict["cost_judged"]:
        return "pass"
    return "pass: the chip's levels agree; what conversion cost is not judged"
