"""The study's pictures: the eyes, who is taken for whom, and how well each emotion is told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from datasets.see import EMOTIONS, LIGHTINGS
from datasets.store import EventStore
from experiments.plots import confusion_map, save_png
from experiments.plots.style import MUTED, PALETTE, STYLE, WIDTH, bare, new_figure
from experiments.studies.seen.clips import NAME
from experiments.studies.seen.config import SeenConfig
from experiments.studies.seen.tables import ORDER
from experiments.studies.study import Inputs, Picture, Results


def pictures(config: SeenConfig, inputs: Inputs, results: Results) -> list[Picture]:
    """Draw all pictures into the study's folder."""
    store = results[NAME]
    drawn = "synthetic eyes" if store["synthetic"] else "SEE"
    whose = f"{drawn}, split {store['split']}"
    paths = {name: inputs.out / f"{name}.png" for name in ("eyes", "confusion", "emotions")}
    save_png(eyes(EventStore(inputs.store), f"Eyes as they are seen: {drawn}"), paths["eyes"])
    deployed = results[config.deployed]["last"]
    order = [EMOTIONS.index(name) for name in ORDER]
    counts = np.array(deployed["confusion"])[np.ix_(order, order)]
    answers = confusion_map(counts, ORDER, f"Answers of {config.deployed}: {whose}", "clips")
    save_png(answers, paths["confusion"])
    last: dict[str, dict] = {setting: results[setting]["last"] for setting in config.settings}
    save_png(bars(last, f"Recall of each emotion: {whose}"), paths["emotions"])
    runs = f"{config.runs} random clips of each test sequence ({whose})"
    return [
        Picture(
            paths["eyes"],
            f"An eye for each emotion and lighting, above its events: white brighter, black darker ({drawn}).",
        ),
        Picture(
            paths["confusion"], f"Percent of a shown emotion's clips given each answer, {config.deployed}, {runs}."
        ),
        Picture(paths["emotions"], f"Recall of each emotion, mean and standard deviation over {runs}."),
    ]


@rc_context(STYLE)
def eyes(store: EventStore, title: str) -> Figure:
    """A column for each emotion, for each lighting a row of frames and one of event frames; gaps where none is."""
    places: dict[tuple[str, str], int] = {}
    for row in range(len(store)):
        meta = store.meta(row)
        places.setdefault((meta["lighting"], meta["emotion"]), row)
    side = WIDTH / (len(EMOTIONS) + 0.6)
    figure = new_figure(2 * len(LIGHTINGS) * side + 0.6, title)
    axes = figure.subplots(2 * len(LIGHTINGS), len(EMOTIONS), squeeze=False)
    for line, lighting in enumerate(LIGHTINGS):
        for column, emotion in enumerate(EMOTIONS):
            place = places.get((lighting, emotion))
            shown = place is not None and _liveliest(store.arrays(place, "frames"), store.arrays(place, "event_frames"))
            for below in range(2):
                cell = axes[2 * line + below, column]
                bare(cell)
                if shown:
                    cell.imshow(shown[below], cmap="gray", vmin=0, vmax=255)
                if line == below == 0:
                    cell.set_title(emotion, fontsize=9, color=MUTED)
                if column == 0:
                    cell.set_ylabel("events" if below else lighting, color=MUTED)
    return figure


def _liveliest(frames: np.ndarray, event_frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frame with most events before it, and these."""
    commonest = np.bincount(event_frames.ravel()).argmax()  # where nothing happened
    moment = int((event_frames != commonest).sum((1, 2)).argmax())
    return frames[moment], event_frames[moment]


@rc_context(STYLE)
def bars(last: dict[str, dict], title: str, order: Sequence[str] = ORDER) -> Figure:
    """For each emotion a bar of every setting, with the runs' deviation; no bars of an emotion that is absent."""
    figure = new_figure(3.8, title)
    axes = figure.subplots()
    width = 0.8 / len(last)
    for number, (setting, score) in enumerate(last.items()):
        there = [place for place, name in enumerate(order) if score["recalls"][name]["mean"] is not None]
        spreads = [score["recalls"][order[place]] for place in there]
        heights, deviations = ([100 * (each[key] or 0) for each in spreads] for key in ("mean", "sd"))
        x = np.array(there) + (number - (len(last) - 1) / 2) * width
        axes.bar(x, heights, 0.9 * width, yerr=deviations, color=PALETTE[number], label=setting, error_kw={"lw": 0.8})
    axes.axhline(100 / len(EMOTIONS), color=MUTED, linewidth=1, linestyle="--", zorder=0, label="chance")
    axes.set_xticks(range(len(order)), labels=order)
    axes.set_ylim(0, 100)
    axes.set_ylabel("recall (%)")
    figure.legend(loc="outside lower right", ncols=len(last) + 1)
    return figure
