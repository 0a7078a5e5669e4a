"""What happens on the chip: spikes per layer, and energy as intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from experiments.plots.style import INK, MUTED, PALETTE, STYLE, bare, new_figure
from experiments.units import interval, si

Interval = Sequence[float]
DECADES = 1.3
"""Figures that span more than a factor of 20 get a logarithmic axis."""


@rc_context(STYLE)
def layer_rates(spikes: Mapping[str, np.ndarray], neurons: Mapping[str, int], dt_us: int, title: str) -> Figure:
    """Spikes of each layer over time, and beside it how often one of its neurons spikes on average.

    rate = spikes / (neurons * seconds), in spikes per neuron and second.

    Args:
        spikes: layer -> [T], spikes of the whole layer in each step of dt. neurons: layer -> number of neurons.
    """
    figure = new_figure(0.95 * len(spikes) + 1.2, title)
    axes = figure.subplots(len(spikes), 2, squeeze=False, sharex="col", width_ratios=[4, 1])
    for row, (layer, counts) in enumerate(spikes.items()):
        colour = PALETTE[row % len(PALETTE)]
        times = np.arange(len(counts)) * dt_us * 1e-6
        axes[row, 0].fill_between(times, counts, step="post", color=colour, alpha=0.25, linewidth=0)
        axes[row, 0].step(times, counts, where="post", color=colour, linewidth=1)
        axes[row, 0].set_ylim(bottom=0)
        axes[row, 0].margins(x=0.005)
        axes[row, 0].yaxis.set_major_locator(MaxNLocator(2, integer=True))
        axes[row, 0].set_title(f"{layer}  ({neurons[layer]:,} neurons)", loc="left", fontsize=9.5, pad=3)
        rate = float(counts.sum()) / (neurons[layer] * max(len(counts), 1) * dt_us * 1e-6)
        _bar(axes[row, 1], rate, colour)
    axes[-1, 0].set_xlabel("time (s)")
    figure.supylabel(f"spikes per step of {dt_us / 1000:g} ms", fontsize=10, color=MUTED)
    axes[-1, 1].set_xlabel("mean rate of one\nneuron (spikes/s)", loc="left")
    axes[-1, 1].set_xlim(left=0, right=axes[-1, 1].get_xlim()[1] * 1.35)  # room for the figure beside the bar
    return figure


@rc_context(STYLE)
def spike_raster(spikes: Mapping[str, tuple[np.ndarray, np.ndarray]], neurons: Mapping[str, int], title: str) -> Figure:
    """Every spike as a dot, one band a layer.

    Args:
        spikes: layer -> (times in seconds [M], neuron [M]). neurons: layer -> number of neurons.
    """
    figure = new_figure(1.25 * len(spikes) + 0.9, title)
    axes = figure.subplots(len(spikes), 1, squeeze=False, sharex=True)[:, 0]
    for row, (layer, (times, neuron)) in enumerate(spikes.items()):
        size = float(np.clip(3000 / max(len(times), 1), 0.15, 6))  # few spikes stay visible, many stay apart
        axes[row].scatter(times, neuron, s=size, color=PALETTE[row % len(PALETTE)], linewidth=0, rasterized=True)
        axes[row].set(ylim=(0, neurons[layer]), yticks=[0, neurons[layer]])
        axes[row].margins(x=0.005)
        axes[row].set_title(f"{layer}  ({len(times):,} spikes)", loc="left", fontsize=9.5, pad=3)
    axes[-1].set_xlabel("time (s)")
    figure.supylabel("neuron", fontsize=10, color=MUTED)
    return figure


@rc_context(STYLE)
def energy_bars(energies: Mapping[str, Mapping[str, Interval]], title: str = "Energy of one estimate") -> Figure:
    """Each part's energy as a bar from its low to its high figure, with a dot at the typical one.

    Bars start at the low figure and do not stack, so that a logarithmic axis (used where the figures
    span more than a factor of 20) misleads nobody.

    Args:
        energies: chip -> part -> (low, typical, high) in joules; a part called "total" is set in bold.
    """
    rows = [len(parts) for parts in energies.values()]
    figure = new_figure(0.36 * sum(rows) + 0.5 * len(rows) + 0.9, title)
    axes = figure.subplots(len(rows), 1, squeeze=False, sharex=True, height_ratios=rows)[:, 0]
    for axis, (chip, parts), colour in zip(axes, energies.items(), PALETTE, strict=False):
        _energy_rows(axis, parts, colour)
        axis.set_title(chip, loc="left", fontweight="bold", pad=6)
    _energy_axis(axes[-1], [value for parts in energies.values() for part in parts.values() for value in part])
    return figure


def _bar(axes: Axes, value: float, colour: str) -> None:
    axes.barh(0, value, height=0.5, color=colour, alpha=0.85)
    axes.annotate(f"{value:.3g}", (value, 0), (4, 0), textcoords="offset points", va="center", fontsize=9, color=INK)
    bare(axes)
    axes.set_ylim(-0.6, 0.6)


def _energy_rows(axes: Axes, parts: Mapping[str, Interval], colour: str) -> None:
    places = np.arange(len(parts))[::-1]
    for place, (part, (low, typical, high)) in zip(places, parts.items(), strict=True):
        total = part == "total"
        axes.plot(
            [low, high], [place, place], color=colour, alpha=0.5 if total else 0.28, linewidth=11, solid_capstyle="butt"
        )
        axes.plot(typical, place, "o", color=colour, markersize=7, markeredgecolor="white")
        axes.text(
            1.02, place, interval((low, typical, high), "J"), transform=axes.get_yaxis_transform(), va="center",
            fontsize=9, color=INK, fontweight="bold" if total else "normal",
        )  # fmt: skip
    axes.set(ylim=(-0.6, len(parts) - 0.4), yticks=places, yticklabels=list(parts))
    for label in axes.get_yticklabels():
        label.set(color=INK, fontsize=10, fontweight="bold" if label.get_text() == "total" else "normal")
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _energy_axis(axes: Axes, values: Sequence[float]) -> None:
    positive = [value for value in values if value > 0]
    if positive and np.log10(max(positive) / min(positive)) > DECADES:
        axes.set_xscale("log")
        axes.set_xlim(min(positive) / 2, max(positive) * 2)
        axes.xaxis.set_major_locator(LogLocator(10, numticks=8))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value, "J")))
    axes.set_xlabel("bar: from the low to the high figure; dot: the typical one")
