"""Pictures made of pictures: frames with their events, and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.plots.style import FAINT, MUTED, STYLE, WIDTH, bare, new_figure
from neuva import NeuvaError


@rc_context(STYLE)
def faces_and_events(
    frames: np.ndarray,
    event_images: np.ndarray,
    captions: Sequence[str],
    title: str = "Synthetic faces, and the events a camera would send",
) -> Figure:
    """Two rows, frames above and the events of the same moment below.

    Args:
        frames: uint8 [K, H, W] or [K, H, W, 3]. event_images: uint8 [K, H, W, 3]. captions: K lines above the frames.
    """
    _same_length(frames, event_images, captions)
    side = WIDTH / len(frames) * 0.96
    figure = new_figure(2 * side * frames.shape[1] / frames.shape[2] + 0.6, title)
    axes = figure.subplots(2, len(frames), squeeze=False)
    for column, caption in enumerate(captions):
        _picture(axes[0, column], frames[column], caption)
        _picture(axes[1, column], event_images[column])
    return figure


@rc_context(STYLE)
def contact_sheet(images: np.ndarray, captions: Sequence[str], title: str = "", columns: int = 6) -> Figure:
    """A grid of pictures, row by row. images: uint8 [K, H, W] or [K, H, W, 3]; captions: K lines."""
    _same_length(images, captions)
    rows, columns = -(-len(images) // columns), min(columns, len(images))
    side = WIDTH / columns * 0.96
    figure = new_figure(rows * (side * images.shape[1] / images.shape[2] + 0.24) + 0.4, title)
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
