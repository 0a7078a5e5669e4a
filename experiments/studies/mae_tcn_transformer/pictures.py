"""What the networks of the official split say: estimates over a video, confusion of expressions, each unit's F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from datasets.aff_wild2 import frames_of
from datasets.aff_wild2.annotations import ACTION_UNITS, EXPRESSIONS
from datasets.store import EventStore
from experiments.plots import save_png
from experiments.plots.style import BLUE, MUTED, STYLE, TRUTH, bare, new_figure
from experiments.studies.mae_tcn_transformer.clips import OFFICIAL
from experiments.studies.mae_tcn_transformer.config import StudyConfig
from experiments.studies.mae_tcn_transformer.estimates import read_estimates
from experiments.studies.mae_tcn_transformer.tables import sequence_job
from experiments.studies.study import Inputs, Picture, Results

FACES = 9


def pictures(config: StudyConfig, inputs: Inputs, results: Results) -> list[Picture]:  # noqa: ARG001  # the contract
    """Pictures of the tasks whose official split is done, written into the study's folder."""
    done = {task: results.get(sequence_job(task, OFFICIAL)) for task in ("expression", "action_units")}
    made = []
    if sequence_job("valence_arousal", OFFICIAL) in results:
        made.append(_traces(inputs, results[sequence_job("valence_arousal", OFFICIAL)]["synthetic"]))
    if done["expression"]:
        title = _caption("Expressions of the official validation set", done["expression"])
        figure = confusion(np.array(done["expression"]["metrics"]["confusion"]), EXPRESSIONS, title)
        made.append(_saved(figure, inputs.out / "expressions.png", f"{title}: shares of each label's frames."))
    if done["action_units"]:
        title = _caption("Action units of the official validation set", done["action_units"])
        figure = f1_bars(done["action_units"]["metrics"]["f1s"], ACTION_UNITS, title)
        caption = f"{title}: F1 of each; a dash where no scored frame shows the unit."
        made.append(_saved(figure, inputs.out / "action-units.png", caption))
    return made


@rc_context(STYLE)
def faces_and_traces(
    faces: np.ndarray, faces_s: np.ndarray, times_s: np.ndarray, truth: np.ndarray, estimate: np.ndarray, title: str
) -> Figure:
    """A row of faces, below it valence and arousal over time; truth is broad and grey, absent where it is NaN.

    faces: uint8 [K, H, W, 3] at faces_s [K] seconds. times_s: [N]. truth, estimate: [N, 2].
    """
    figure = new_figure(5.4, title)
    grid = figure.add_gridspec(3, len(faces), height_ratios=[1.1, 1.6, 1.6])
    for column, (face, time) in enumerate(zip(faces, faces_s, strict=True)):
        axes = figure.add_subplot(grid[0, column])
        bare(axes)
        axes.imshow(face)
        axes.set_title(f"{time:.1f} s", fontsize=9, color=MUTED, pad=3)
    for k, name in enumerate(("valence", "arousal")):
        axes = figure.add_subplot(grid[k + 1, :])
        axes.plot(times_s, truth[:, k], color=TRUTH, linewidth=6, solid_capstyle="round", alpha=0.75, label="label")
        axes.plot(times_s, estimate[:, k], color=BLUE, linewidth=1.4, label="estimate")
        axes.set(ylim=(-1.05, 1.05), yticks=[-1, -0.5, 0, 0.5, 1], ylabel=name)
        axes.grid(axis="y")
        axes.margins(x=0.01)
        for time in faces_s:
            axes.axvline(time, color="#e4e7ea", linewidth=1, zorder=0)
    axes.set_xlabel("time (s)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


@rc_context(STYLE)
def confusion(counts: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Labels in rows, estimates in columns: share of the row in percent. counts: [K, K]; an empty row stays blank."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = 100 * counts / np.maximum(totals, 1)
    figure = new_figure(6.4, title, width=7.4)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.ndindex(*counts.shape):
        if totals[row, 0]:
            ink = "white" if shares[row, column] > 55 else MUTED
            axes.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", color=ink, fontsize=9)
    rows = [f"{name} ({total:,})" for name, total in zip(names, totals[:, 0], strict=True)]
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
    axes.set_yticks(range(len(names)), rows)
    axes.set(xlabel="estimate", ylabel="label (frames)")
    return figure


@rc_context(STYLE)
def f1_bars(f1s: Sequence[float | None], names: Sequence[str], title: str) -> Figure:
    """A bar for each F1 in [0, 1]; a dash where it is undefined."""
    figure = new_figure(3.6, title)
    axes = figure.subplots()
    axes.bar(range(len(names)), [value or 0.0 for value in f1s], color=BLUE, width=0.7)
    for place, value in enumerate(f1s):
        text = "-" if value is None else f"{value:.2f}"
        axes.text(place, (value or 0) + 0.015, text, ha="center", va="bottom", color=MUTED, fontsize=9)
    axes.set_xticks(range(len(names)), names)
    axes.set(ylim=(0, 1.05), ylabel="F1")
    axes.grid(axis="y")
    return figure


def _traces(inputs: Inputs, synthetic: bool) -> Picture:
    """The longest scored clip."""
    clips = read_estimates(inputs.of_job(sequence_job("valence_arousal", OFFICIAL)))
    clip = max(clips, key=lambda each: len(each.estimate))
    store = EventStore(inputs.store)
    rows = np.linspace(0, len(clip.estimate) - 1, min(FACES, len(clip.estimate))).astype(int)
    faces = frames_of(store, store.names.index(clip.name), rows)
    times = clip.times_us / 1e6
    truth = np.where(clip.valid[:, None], clip.target, np.nan)
    title = _caption(f"Video {clip.name}", {"synthetic": synthetic})
    figure = faces_and_traces(faces, times[rows], times, truth, clip.estimate, title)
    caption = f"{title}: valence and arousal over time, with the faces seen; the label is absent where it is invalid."
    return _saved(figure, inputs.out / "traces.png", caption)


def _caption(what: str, result: Mapping[str, Any]) -> str:
    return f"{what} (synthetic)" if result["synthetic"] else what


def _saved(figure: Figure, path: Path, caption: str) -> Picture:
    save_png(figure, path)
    return Picture(path, caption)
