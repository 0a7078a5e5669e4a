"""Outputs of a network over time, whatever they mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from experiments.plots.style import PALETTE, STYLE, new_figure


@rc_context(STYLE)
def outputs_over_time(times_s: np.ndarray, values: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """A line for each output; a map of colours, one row an output, where there are more than colours for lines.

    Args:
        times_s: [N], seconds. values: [N, K]. names: K.
    """
    figure = new_figure(3.4, title)
    axes = figure.subplots()
    axes.set_xlabel("time (s)")
    if len(names) <= len(PALETTE):
        for name, column, colour in zip(names, values.T, PALETTE, strict=False):
            axes.plot(times_s, column, color=colour, linewidth=1.4, label=name)
        axes.grid(axis="y")
        axes.margins(x=0.01)
        axes.set_ylabel("output")
        figure.legend(loc="outside lower right", ncols=len(names))
        return figure
    edges = (float(times_s[0]), float(times_s[-1]), len(names) - 0.5, -0.5)
    image = axes.imshow(values.T, aspect="auto", interpolation="nearest", cmap="viridis", extent=edges)
    figure.colorbar(image, ax=axes, label="output")
    if len(names) <= 24:
        axes.set_yticks(range(len(names)), labels=list(names))
    axes.set_ylabel("output's name" if len(names) <= 24 else "output")
    return figure
