"""The report: one self-contained HTML page, and the summary table for the terminal."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jinja2
from rich.table import Table

from experiments.units import interval, plain, si
from hardware.program import CHIPS
from neuva import atomic_path

PICTURES = {
    "faces": "Above, frames of test clips; below, the camera events of the same moments.",
    "traces": "Valence and arousal over time in one test clip: the truth, the float network and the chip.",
    "circumplex": "Estimates on the valence-arousal plane, each tied by a line to the truth it should have met.",
    "rates": "Spikes of each layer over time in one test clip, and how often one of its neurons spikes on average.",
    "raster": "Every spike of one test clip as a dot, one band a layer.",
    "energy": "Energy of one estimate by part: a bar from the low to the high figure, a dot at the typical one.",
}
"""What each picture shows, for its caption and for those who cannot see it; keys end in the chip's name."""


@dataclass(frozen=True)
class Verdict:
    """The headline: "pass", "fail" or "open" (something was not judged), and why in one sentence."""

    state: Literal["pass", "fail", "open"]
    sentence: str


def overall(results: Mapping[str, Any]) -> Verdict:
    """All chips' verdicts and the summary's targets in one: a failure outweighs a gap, a gap outweighs a pass."""
    targets = results.get("targets") or {}
    passes = {chip_name(key): (target.get("verdict") or {}).get("pass") for key, target in targets.items()}
    failed = [name for name, passed in passes.items() if passed is False]
    failed += [str(row["label"]) for row in results.get("summary") or [] if row.get("ok") is False]
    unjudged = [name for name, passed in passes.items() if passed is None]
    if failed:
        return Verdict("fail", f"Not reached: {'; '.join(failed)}.")
    if not targets:
        return Verdict("open", "No chip has been judged yet.")
    if unjudged:
        return Verdict("open", f"Not judged yet: {', '.join(unjudged)}.")
    return Verdict("pass", f"{' and '.join(passes)} passed every check that was run.")


def write_report(path: str | Path, results: Mapping[str, Any], pictures: Mapping[str, bytes]) -> None:
    """Write the page: pictures and style inside it, no scripts, nothing from elsewhere.

    What `results` lacks is said to be missing, with the command that makes it; nothing is made up.

    Args:
        results: title, subtitle, made, data, summary, targets (JSON-plain; every part may be missing).
        pictures: PNG bytes, named as in `PICTURES`, with "_<target>" for those of one chip.

    Raises:
        NeuvaError: if the folder cannot be written.
    """
    page = environment().get_template("report.html").render(
        r=results,
        targets=results.get("targets") or {},
        verdict=overall(results),
        pictures={key: base64.b64encode(data).decode() for key, data in pictures.items()},
    )  # fmt: skip
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def summary_table(results: Mapping[str, Any]) -> Table:
    """The summary for the terminal: what was measured, the target, and whether it is met."""
    verdict = overall(results)
    table = Table(title=str(results.get("title", "neuva")), caption=verdict.sentence, title_justify="left")
    table.add_column("measured")
    table.add_column("value", justify="right")
    table.add_column("target", justify="right")
    table.add_column("met")
    for row in results.get("summary") or []:
        met = {True: "[green]yes[/]", False: "[red]no[/]"}.get(row.get("ok"), "")
        table.add_row(str(row["label"]), plain(row.get("value")), plain(row["target"]) if "target" in row else "", met)
    if not results.get("summary"):
        table.add_row("nothing yet: run neuva demo", "", "", "")
    return table


def chip_name(target: str) -> str:
    """A chip as people write it."""
    return CHIPS.get(target, target)


def caption(key: str) -> str:
    """What a picture shows; one that is not known is called by its key."""
    kind, _, target = key.partition("_")
    text = PICTURES.get(kind)
    if text is None:
        return key.replace("_", " ")
    return f"{chip_name(target)}. {text}" if target else text


def environment() -> jinja2.Environment:
    """Templates of this folder and those below, with filters for figures."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,  # a missing part reads as absent at any depth
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=_present(plain), si=si, chip=chip_name, caption=caption, figure=_present(_figure))
    return environment


def _present(function: Any) -> Any:
    """Let a filter see what the template has not as None."""
    return lambda value, *rest: function(None if isinstance(value, jinja2.Undefined) else value, *rest)


def _figure(value: Any, unit: str) -> str:
    """An energy or power as it comes: an interval, a number, or words."""
    if isinstance(value, list | tuple) and len(value) == 3:
        return interval(value, unit)
    return si(value, unit) if isinstance(value, int | float) else plain(value)
