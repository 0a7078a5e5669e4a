"""What steps of time make of an event-driven chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from experiments.plots.style import INK, PALETTE, STYLE, new_figure
from experiments.units import si

Curves = Mapping[str, Sequence[float]]


@rc_context(STYLE)
def clocked_beside_events(dt_us: Sequence[float], counts: Curves, apart: Curves, title: str) -> Figure:
    """Left, spikes of the clocked run as a share of the event-driven one's; right, spikes without a partner.

    Args:
        dt_us: steps in microseconds. counts, apart: layer -> one figure for each step.
    """
    figure = new_figure(3.9, title)
    left, right = figure.subplots(1, 2)
    for axes, curves, label in (
        (left, counts, "spikes, clocked / event-driven"),
        (right, apart, "share of spikes without a partner\nin the same neuron and 10 ms"),
    ):
        for (layer, values), colour in zip(curves.items(), PALETTE, strict=False):
            axes.plot([dt * 1e-6 for dt in dt_us], values, "o-", color=colour, markersize=4, label=layer)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value, "s")))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("step of the clocked run")
        axes.set_ylabel(label)
        axes.grid(axis="y")
    left.axhline(1, color=INK, linewidth=1, linestyle="--")
    right.set_ylim(bottom=0)
    left.legend()
    return figure


@rc_context(STYLE)
def one_spike_an_event(ratio: Sequence[float], curves: Curves, title: str) -> Figure:
    """Spikes over the largest weight in thresholds.

    Args:
        ratio: largest weight / threshold. curves: run -> spikes for each ratio.
    """
    figure = new_figure(3.9, title)
    axes = figure.subplots()
    for (run, values), colour in zip(curves.items(), PALETTE, strict=False):
        axes.plot(ratio, values, "o-", color=colour, markersize=4, label=run)
    axes.axvline(1, color=INK, linewidth=1, linestyle="--")
    axes.annotate("a weight reaches\nthe threshold", (1, max(np.ravel(list(curves.values())))), (5, -4),
                  textcoords="offset points", va="top", color=INK, fontsize=9)  # fmt: skip
    axes.set_yscale("log")
    axes.set_xscale("log")
    axes.set_xticks([0.25, 0.5, 1, 2, 4, 8], ["1/4", "1/2", "1", "2", "4", "8"])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value, "")))
    axes.set(xlabel="largest weight / threshold", ylabel="spikes of the first layer")
    axes.grid(axis="y")
    axes.legend(loc="lower right")
    return figure
