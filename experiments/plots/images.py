"""Pictures made of pictures: frames with their events, and grids of events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.plots.style import FAINT, MUTED, STYLE, WIDTH, bare, new_figure, polarities
from neuva import NeuvaError


@rc_context(STYLE)
def faces_and_events(
    frames: np.ndarray | None,
    event_images: np.ndarray,
    captions: Sequence[str],
    title: str = "Synthetic faces, and the events a camera would send",
) -> Figure:
    """Two rows, frames above and the events of the same moment below; the events alone where there are no frames.

    Args:
        frames: uint8 [K, H, W] or [K, H, W, 3], or None. event_images: uint8 [K, H, W, 3]. captions: K, above.
    """
    rows = [event_images] if frames is None else [frames, event_images]
    _same_length(*rows, captions)
    side = WIDTH / len(captions) * 0.96
    figure = new_figure(sum(side * row.shape[1] / row.shape[2] for row in rows) + 0.8, title)
    axes = figure.subplots(len(rows), len(captions), squeeze=False)
    for place, images in enumerate(rows):
        for column, caption in enumerate(captions):
            _picture(axes[place, column], images[column], "" if place else caption)
    figure.legend(handles=polarities(), loc="outside lower right", ncols=2)
    return figure


@rc_context(STYLE)
def events_grid(images: np.ndarray, captions: Sequence[str], title: str = "", columns: int = 6) -> Figure:
    """A grid of pictures of events, row by row. images: uint8 [K, H, W, 3]; captions: K lines."""
    figure = faces_grid(images, captions, title, columns)
    figure.legend(handles=polarities(), loc="outside lower right", ncols=2)
    return figure


@rc_context(STYLE)
def faces_grid(images: np.ndarray, captions: Sequence[str], title: str = "", columns: int = 6) -> Figure:
    """A grid of pictures, row by row. images: uint8 [K, H, W] or [K, H, W, 3]; captions: K of one or more lines."""
    _same_length(images, captions)
    rows, columns = -(-len(images) // columns), min(columns, len(images))
    side = WIDTH / columns * 0.96
    lines = 1 + max(caption.count("\n") for caption in captions)
    figure = new_figure(rows * (side * images.shape[1] / images.shape[2] + 0.09 + 0.15 * lines) + 0.6, title)
    axes = figure.subplots(rows, columns, squeeze=False)
    for cell in axes.flat:
        bare(cell)
    for cell, image, caption in zip(axes.flat, images, captions, strict=False):
        _picture(cell, image, caption)
    return figure


def _picture(axes: Axes, image: np.ndarray, caption: str = "") -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)  # events stand on white, and so does the page
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    if caption:
        axes.set_title(caption, fontsize=9, color=MUTED, pad=4)


def _same_length(*parts: Sequence | np.ndarray) -> None:
    lengths = {len(part) for part in parts}
    if len(lengths) != 1 or 0 in lengths:
        raise NeuvaError(
            f"pictures and captions number {[len(part) for part in parts]}: give as many of each, at least 1"
        )
