"""Where a Speck's cores reach their ceiling: load and latency over the rate of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from experiments.plots.style import INK, MUTED, PALETTE, STYLE, VERMILION, new_figure
from experiments.units import si


@rc_context(STYLE)
def load_and_latency(
    rates: Sequence[float],
    loads: Mapping[str, Sequence[float]],
    latencies: Mapping[str, Sequence[float]],
    ceilings: Mapping[str, float],
    title: str,
) -> Figure:
    """Offered load of each core, with the rate at which it passes 1, and below it the latency.

    Args:
        rates: events a second that reach the first core. loads: layer -> share of its ceiling at each rate.
        latencies: name -> seconds at each rate. ceilings: layer -> rate at which its load passes 1, where it does.
    """
    figure = new_figure(6.4, title)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    for (layer, values), colour in zip(loads.items(), PALETTE * len(loads), strict=False):
        at = f": 100 % at {si(ceilings[layer], 'events/s')}" if layer in ceilings else ""
        above.plot(rates, np.array(values) * 100, "o-", color=colour, markersize=4, label=f"{layer}{at}")
        if layer in ceilings:
            above.plot(ceilings[layer], 100, "D", color=colour, markersize=8, markeredgecolor="white", zorder=3)
    above.axhline(100, color=INK, linewidth=1, linestyle="--")
    above.annotate("ceiling", (max(rates), 100), (0, 4), textcoords="offset points", ha="right", color=INK, fontsize=9)
    if ceilings:
        first = min(ceilings.values())
        for axes in (above, below):
            axes.axvspan(first, max(rates), color=VERMILION, alpha=0.07, linewidth=0)
        above.annotate(
            "a core cannot keep up", (first, 1), (4, -12), xycoords=("data", "axes fraction"),
            textcoords="offset points", color=VERMILION, fontsize=9,
        )  # fmt: skip
    above.set_yscale("log")
    above.set_ylabel("offered load of a core (%)")
    above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    above.legend(loc="lower right")
    for (name, values), colour in zip(latencies.items(), (INK, MUTED), strict=False):
        below.plot(rates, values, "o-", color=colour, markersize=4, label=name)
    finite = [value for values in latencies.values() for value in values if value > 0] or [1e-3]
    below.set_yscale("log")
    below.set_ylim(10 ** np.floor(np.log10(min(finite))), 10 ** np.ceil(np.log10(max(finite)) + 0.01))
    below.yaxis.set_minor_formatter(NullFormatter())
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value, "s")))
    below.set_ylabel("latency of an event")
    below.legend(loc="upper left")
    _rates(below, rates)
    for axes in (above, below):
        axes.grid(axis="y")
    return figure


def _rates(axes: Axes, rates: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.15, max(rates) * 1.15)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value, "")))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("events per second into the first core")
