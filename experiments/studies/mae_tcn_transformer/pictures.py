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
from experiments.plots import confusion_map, save_png, traces_under_pictures
from experiments.plots.style import BLUE, MUTED, STYLE, new_figure
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
        counts = np.array(done["expression"]["metrics"]["confusion"])
        figure = confusion_map(counts, EXPRESSIONS, title, "frames")
        made.append(_saved(figure, inputs.out / "expressions.png", f"{title}: shares of each label's frames."))
    if done["action_units"]:
        title = _caption("Action units of the official validation set", done["action_units"])
        figure = f1_bars(done["action_units"]["metrics"]["f1s"], ACTION_UNITS, title)
        caption = f"{title}: F1 of each; a dash where no scored frame shows the unit."
        made.append(_saved(figure, inputs.out / "action-units.png", caption))
    return made


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
    figure = traces_under_pictures(times, truth, {"estimate": clip.estimate}, [faces], rows, title)
    caption = f"{title}: valence and arousal over time, with the faces seen; the label is absent where it is invalid."
    return _saved(figure, inputs.out / "traces.png", caption)


def _caption(what: str, result: Mapping[str, Any]) -> str:
    return f"{what} (synthetic)" if result["synthetic"] else what


def _saved(figure: Figure, path: Path, caption: str) -> Picture:
    save_png(figure, path)
    return Picture(path, caption)
