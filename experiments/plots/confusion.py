"""Which class was answered for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from experiments.plots.style import MUTED, STYLE, new_figure


@rc_context(STYLE)
def confusion_map(counts: np.ndarray, names: Sequence[str], title: str, what: str) -> Figure:
    """Labels in rows, estimates in columns, in percent of the row; a row without a label stays blank.

    Args:
        counts: [K, K], of [label][estimate]. names: K classes. what: is counted, as in "frames".
    """
    totals = counts.sum(axis=1)
    shares = 100 * counts / np.maximum(totals, 1)[:, None]
    figure = new_figure(6.4, title, width=7.4)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        if totals[row]:
            ink = "white" if share > 55 else MUTED
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", color=ink, fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
    axes.set_yticks(range(len(names)), [f"{name} ({total:,})" for name, total in zip(names, totals, strict=True)])
    axes.set(xlabel="estimate (% of the row)", ylabel=f"label ({what})")
    return figure
