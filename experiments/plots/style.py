"""The one look of all pictures: white ground, quiet axes, colours that colour-blind readers tell apart."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from datasets.pictures import OFF, ON
from neuva import atomic_path

WIDTH = 9.0
"""Inches; shown 900 pixels wide, a 10 point letter is then 14 pixels high."""
DPI = 160

INK, MUTED, FAINT, TRUTH = "#24292f", "#6a7178", "#e4e7ea", "#b3bac1"
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#aa4f87", "#56b4e9"
"""Okabe and Ito (2008), "Color Universal Design"; the purple is darkened to be read on white."""
PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so pictures are the same everywhere
    "font.size": 10,
    "text.color": INK,
    "axes.titlesize": 10,
    "axes.titlecolor": INK,
    "axes.labelsize": 10,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#c9ced3",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": "#c9ced3",
    "ytick.color": "#c9ced3",
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.transparent": False,
}
"""Handed to `matplotlib.rc_context` around each picture, so nobody's own settings are touched."""


def new_figure(height: float, title: str = "", width: float = WIDTH) -> Figure:
    """An empty figure of `width` x `height` inches with the title at its top left."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.02, hspace=0.02)  # type: ignore[union-attr, call-arg]
    if title:
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
    return figure


def polarities() -> list[Patch]:
    """What a legend says of a picture of events."""
    named = (("ON, brighter", ON), ("OFF, darker", OFF))
    return [Patch(color=tuple(part / 255 for part in colour), label=name) for name, colour in named]


def bare(axes: Axes) -> None:
    """Leave an axes its content alone: no ticks, no frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    figure.draw_without_rendering()  # lays out once and for all: the layout would move a little with each drawing
    figure.set_layout_engine("none")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def save_png(figure: Figure, path: str | Path) -> None:
    """Write the figure as PNG under a temporary name, then rename.

    Raises:
        NeuvaError: if the folder cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(png(figure))
