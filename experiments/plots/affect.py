"""Valence and arousal: over time, against the truth, and on the circumplex."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, ConnectionPatch

from experiments.plots.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    PALETTE,
    STYLE,
    TRUTH,
    VERMILION,
    bare,
    new_figure,
    polarities,
)

NAMES = ("valence", "arousal")
WORDS = ("pleased", "excited", "aroused", "distressed", "displeased", "depressed", "sleepy", "relaxed")
"""At 0, 45, 90, ... degrees: Russell (1980), "A circumplex model of affect", J. Pers. Soc. Psychol. 39(6)."""
MOST_POINTS, MOST_SNAPSHOTS = 250, 8


@rc_context(STYLE)
def traces(times_s: np.ndarray, truth: np.ndarray, predictions: Mapping[str, np.ndarray], title: str) -> Figure:
    """Valence and arousal over time: truth as a broad grey band, each prediction as a line.

    Args:
        times_s: [N], seconds. truth: [N, 2]. predictions: name -> [n, 2] with n <= N (a level may have run shorter).
    """
    figure = new_figure(4.6, title)
    axes = figure.subplots(2, 1, sharex=True)
    for k, axis in enumerate(axes):
        axis.plot(times_s, truth[:, k], color=TRUTH, linewidth=6, solid_capstyle="round", alpha=0.75, label="truth")
        widths = cycle((2.6, 1.2))  # a narrow line on a broad one: both are seen where they agree
        for (name, va), colour in zip(predictions.items(), cycle(PALETTE)):
            axis.plot(times_s[: len(va)], va[:, k], color=colour, linewidth=next(widths), label=name)
        affect_axis(axis, NAMES[k])
    axes[1].set_xlabel("time (s)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return figure


@rc_context(STYLE)
def traces_under_pictures(
    times_s: np.ndarray,
    labels: np.ndarray,
    estimates: Mapping[str, np.ndarray],
    rows: Sequence[np.ndarray],
    chosen: np.ndarray,
    title: str,
) -> Figure:
    """Valence and arousal over time under rows of pictures of some of those times.

    Args:
        times_s: [N], seconds. labels: [N, 2], NaN where there is none. estimates: name -> [N, 2]. rows: of pictures
            uint8 [K, H, W] or [K, H, W, 3] of the times numbered `chosen` [K].
    """
    figure = new_figure(4.4 + 1.15 * len(rows), title)
    heights = [1.15] * len(rows) + [1.8, 1.8]
    grid = figure.add_gridspec(len(heights), len(chosen), height_ratios=heights)
    for place, row in enumerate(rows):
        for column, picture in enumerate(row):
            axes = figure.add_subplot(grid[place, column])
            bare(axes)
            axes.imshow(picture, cmap="gray", interpolation="nearest")
            if place == 0:
                axes.set_title(f"{times_s[chosen[column]]:.2f} s", fontsize=9, color=MUTED, pad=3)
    for k, name in enumerate(NAMES):
        axes = figure.add_subplot(grid[len(rows) + k, :])
        axes.plot(times_s, labels[:, k], color=TRUTH, linewidth=6, solid_capstyle="round", alpha=0.75, label="label")
        for (model, values), colour in zip(estimates.items(), cycle(PALETTE)):
            axes.plot(times_s, values[:, k], color=colour, linewidth=1.6, label=model)
        affect_axis(axes, name)
        for time in times_s[chosen]:
            axes.axvline(time, color=FAINT, linewidth=1, zorder=0)
    axes.set_xlabel("time (s)")
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower right", ncols=len(names))
    return figure


@rc_context(STYLE)
def circumplex(truth: np.ndarray, prediction: np.ndarray, title: str) -> Figure:
    """Valence to the right, arousal upwards: each estimate as a point, tied to the truth it should have met.

    Args:
        truth, prediction: [N, 2]; of many estimates an even choice of 250 is drawn, and the picture says so.
    """
    chosen = _even_choice(len(truth), MOST_POINTS)
    start, end = truth[chosen], prediction[chosen]
    figure = new_figure(6.2, title, width=6.2)
    axes = figure.subplots()
    draw_wheel(axes)
    axes.add_collection(LineCollection(list(np.stack([start, end], axis=1)), colors=BLUE, linewidths=0.7, alpha=0.22))
    axes.scatter(
        start[:, 0], start[:, 1], s=16, facecolor="white", edgecolor=MUTED, linewidth=0.8, label="truth", zorder=3
    )
    axes.scatter(end[:, 0], end[:, 1], s=16, color=BLUE, linewidth=0, alpha=0.85, label="estimate", zorder=4)
    axes.legend(loc="upper left", bbox_to_anchor=(-0.03, 1.02), handletextpad=0.1)
    axes.text(1.28, -1.28, _shown(len(chosen), len(truth)), ha="right", va="bottom", fontsize=9, color=MUTED)
    return figure


@rc_context(STYLE)
def estimate_over_time(
    times_s: np.ndarray,
    va: np.ndarray,
    title: str,
    snapshots: Sequence[tuple[float, np.ndarray]] = (),
    face: np.ndarray | None = None,
) -> Figure:
    """Estimates of a recording without labels: two lines, with pictures of the events the network saw above.

    Args:
        times_s: [N], seconds. va: [N, 2]. snapshots: (time in seconds, image uint8); an even choice of 8 is shown.
        face: bool [N], where a face was found; stretches without one are shaded. None: nobody looked.
    """
    shown = [snapshots[i] for i in _even_choice(len(snapshots), MOST_SNAPSHOTS)]
    figure = new_figure(4.9 if shown else 3.7, title)
    grid = figure.add_gridspec(2 if shown else 1, max(len(shown), 1), height_ratios=[1, 2.2] if shown else [1])
    axes = figure.add_subplot(grid[-1, :])
    for k, (colour, line) in enumerate(((BLUE, "-"), (VERMILION, (0, (3, 1.5))))):  # dashes: seen where lines agree
        axes.plot(times_s, va[:, k], color=colour, linewidth=1.8, linestyle=line, label=NAMES[k])
    if face is not None and not face.all():
        label = "no face found"
        axes.fill_between(times_s, -1.05, 1.05, ~face, step="mid", color=FAINT, alpha=0.6, lw=0, zorder=-1, label=label)
    affect_axis(axes, "estimate")
    axes.set_xlabel("time (s)")
    if not len(times_s):
        axes.text(0.5, 0.1, "no estimates: the recording is shorter than one", ha="center", transform=axes.transAxes)
    digits = _decimals([time for time, _ in shown])
    for column, (time, image) in enumerate(shown):
        thumbnail = figure.add_subplot(grid[0, column])
        bare(thumbnail)
        thumbnail.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        thumbnail.set_title(f"{time:.{digits}f} s", fontsize=9, color=MUTED, pad=3)
        _tie(figure, thumbnail, axes, time)
    handles = [*axes.get_legend_handles_labels()[0], *(polarities() if shown else [])]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(handles))
    return figure


def _decimals(times_s: Sequence[float]) -> int:
    """As many as tell the times apart, at least one."""
    gap = float(np.diff(times_s).min()) if len(times_s) > 1 else 1.0
    return max(1, math.ceil(-math.log10(gap))) if gap > 0 else 1


def _even_choice(total: int, most: int) -> np.ndarray:
    """At most `most` of the numbers 0 to total - 1, evenly spread, first and last among them."""
    return np.linspace(0, total - 1, min(total, most)).astype(int)


def affect_axis(axes: Axes, label: str) -> None:
    """From -1 to 1 upwards, with a grid."""
    axes.set_ylim(-1.05, 1.05)
    axes.set_yticks([-1, -0.5, 0, 0.5, 1])
    axes.grid(axis="y")
    axes.margins(x=0.01)
    axes.set_ylabel(label)


def draw_wheel(axes: Axes) -> None:
    """Unit circle, axes and the eight words around it."""
    bare(axes)
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")
    for radius in (0.5, 1.0):
        axes.add_patch(Circle((0, 0), radius, fill=False, edgecolor=FAINT if radius < 1 else "#c9ced3", linewidth=1))
    axes.plot([-1, 1], [0, 0], color="#c9ced3", linewidth=0.8, zorder=1)
    axes.plot([0, 0], [-1, 1], color="#c9ced3", linewidth=0.8, zorder=1)
    for word, degrees in zip(WORDS, range(0, 360, 45), strict=True):
        x, y = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn = {0: -90, 180: 90}.get(degrees, 0)  # along the circle where the word would stick out of the picture
        side = "center" if turn or abs(x) < 0.1 else "left" if x > 0 else "right"
        axes.text(1.06 * x, 1.07 * y, word, ha=side, va="center", rotation=turn, color=MUTED, fontsize=9.5)
    axes.text(0.98, 0.03, "valence", ha="right", color=INK, fontsize=9)
    axes.text(0.03, 0.96, "arousal", va="top", color=INK, fontsize=9)


def _shown(points: int, total: int) -> str:
    return f"{points:,} of {total:,} estimates" if points < total else f"estimates: {total:,}"


def _tie(figure: Figure, thumbnail: Axes, axes: Axes, time: float) -> None:
    """A faint line from under a thumbnail to its moment, going on down through the plot."""
    line = ConnectionPatch((0.5, 0), (time, 1.05), "axes fraction", "data", axesA=thumbnail, axesB=axes)
    line.set(color=TRUTH, linewidth=0.8, zorder=0)
    line.set_in_layout(False)
    figure.add_artist(line)
    axes.axvline(time, color=FAINT, linewidth=1, zorder=0)
