"""The study's pictures: emotions on the wheel, estimates under what was seen, and figures over bit depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from datasets.store import EventStore
from experiments.clips import nearest
from experiments.plots import save_png, traces_under_pictures
from experiments.plots.affect import NAMES, draw_wheel
from experiments.plots.style import BLUE, INK, MUTED, PALETTE, STYLE, TRUTH, VERMILION, new_figure
from experiments.studies.neuromorphic_va.clips import ClipSet, clips_job, provenance
from experiments.studies.neuromorphic_va.config import BitDepth, NeuromorphicVa
from experiments.studies.neuromorphic_va.emotions import POINTS, all_estimates
from experiments.studies.neuromorphic_va.prototypes import wheel
from experiments.studies.neuromorphic_va.tables import drawn, pooled_job, zero_shot_job
from experiments.studies.neuromorphic_va.variants import binary_variant, main_variant
from experiments.studies.study import Inputs, Picture, Results
from neuva import NeuvaError

SHOWN = 8
"""Pictures in a row above the traces."""
MODELS = 3
"""Lines beside the labels'."""


def pictures(config: NeuromorphicVa, inputs: Inputs, results: Results) -> list[Picture]:
    """Draw all that the finished jobs allow."""
    made = [_wheel(inputs, model, results) for model in config.zero_shot if zero_shot_job(model) in results]
    store = EventStore(inputs.store)
    made.append(_traces(config, inputs, store))
    if config.bit_depth is not None:
        made.append(_bit_depth(config, config.bit_depth, inputs, results))
    return made


def _marked(path: Path, title: str, caption: str, what: str, draw: Callable[[str], Figure]) -> Picture:
    """Draw under a title that says what is drawn and not filmed, so that a copied picture does too."""
    save_png(draw(f"{title}\n({what})" if what else title), path)
    return Picture(path, f"{what.capitalize()}. {caption}" if what else caption)


def _wheel(inputs: Inputs, model: str, results: Results) -> Picture:
    with np.load(inputs.of_job(zero_shot_job(model)) / POINTS) as found:
        means, emotions = found["means"], found["emotions"]
    return _marked(
        inputs.out / f"wheel-{model}.png",
        f"{model}: mean estimates of clips, and the prototypes",
        f"Each point a network's mean estimate of a clip, in its label's colour; stars: prototypes. {wheel().source}.",
        drawn(results[zero_shot_job(model)]),
        partial(emotions_on_wheel, means, emotions),
    )


@rc_context(STYLE)
def emotions_on_wheel(means: np.ndarray, emotions: np.ndarray, title: str) -> Figure:
    """Clips' mean estimates [K, 2] in the colour of their emotion, and each emotion's prototype as a star."""
    figure = new_figure(6.6, title, width=6.6)
    axes = figure.subplots()
    draw_wheel(axes)
    rest = ~np.isin(emotions, wheel().names)
    axes.scatter(
        means[rest, 0], means[rest, 1], s=16, color=TRUTH, linewidth=0, zorder=2, label="a clip of no such emotion"
    )
    axes.scatter([], [], s=24, color=MUTED, label="a clip, in its label's colour")
    axes.scatter([], [], s=150, marker="*", color=MUTED, label="an emotion's prototype")
    for name, place, colour in zip(wheel().names, wheel().places, (*PALETTE, INK), strict=True):
        points = means[emotions == name]
        axes.scatter(points[:, 0], points[:, 1], s=24, color=colour, alpha=0.7, linewidth=0, zorder=3)
        axes.scatter(place[0], place[1], s=190, marker="*", color=colour, edgecolor="white", linewidth=0.8, zorder=4)
        axes.annotate(
            name,
            place,
            (0, -18 if _below_another(place, wheel().places) else 9),
            textcoords="offset points",
            ha="center",
            color=colour,
            fontweight="bold",
            zorder=5,
        )
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    return figure


def _below_another(place: np.ndarray, places: np.ndarray) -> bool:
    """Its name would stand in that of another place, as high or a little higher."""
    apart = np.asarray(places) - place
    near = (np.abs(apart[:, 0]) < 0.35) & (apart[:, 1] >= 0) & (apart[:, 1] < 0.15)
    return bool((near & apart.any(1)).any())


def _traces(config: NeuromorphicVa, inputs: Inputs, store: EventStore) -> Picture:
    models = list(dict.fromkeys([*config.zero_shot, *config.models]))[:MODELS]
    variants = {model: main_variant(config, model) for model in models}
    clips = {model: ClipSet.read(inputs.of_job(clips_job(variant.view))) for model, variant in variants.items()}
    found = {model: all_estimates(config, variants[model], inputs, clips[model]) for model in models}
    read = clips[models[0]]
    spread = [_spread(read.labels[read.rows(k)][read.mask[read.rows(k)]]) for k in range(len(read.names))]
    clip = int(np.argmax(spread))
    rows = read.rows(clip)
    times = (read.times[rows] - read.times[rows][0]) / 1e6
    chosen = np.linspace(0, len(times) - 1, min(SHOWN, len(times))).astype(int)
    seen = read.pictures[rows][chosen].max(1)
    index = store.names.index(str(read.names[clip]))
    shown = [_frames(store, index, read.times[rows][chosen]), seen]
    labels = np.where(read.mask[rows, None], read.labels[rows], np.nan)
    estimates = {model: values[rows] for model, values in found.items()}
    return _marked(
        inputs.out / "traces.png",
        f"Clip {read.names[clip]}: what was seen, and told of it",
        f"Clip {read.names[clip]}, whose labels vary most, as each fold's network sees people new to it. Above: the "
        "camera's frames and the events of the same moments as the network is given them.",
        drawn(provenance(store)),
        partial(traces_under_pictures, times, labels, estimates, [row for row in shown if row is not None], chosen),
    )


def _spread(labels: np.ndarray) -> float:
    return float(labels.std(0).sum()) if len(labels) else 0.0


def _frames(store: EventStore, index: int, times: np.ndarray) -> np.ndarray | None:
    """The camera's frames nearest to these times."""
    try:
        frames = store.arrays(index, "frames")
    except NeuvaError:
        return None
    return frames[nearest(store.labels(index)[0], times)]


def _bit_depth(config: NeuromorphicVa, depth: BitDepth, inputs: Inputs, results: Results) -> Picture:
    model = depth.model
    rows = {bits: results[pooled_job(binary_variant(config, model, bits))] for bits in sorted(depth.bits)}
    curves = {name: [row[f"ccc_{name}"] for row in rows.values()] for name in NAMES}
    return _marked(
        inputs.out / "bit-depth.png",
        f"{model}: CCC over the bits of a frame",
        f"{model}, all folds pooled; a frame is always {config.pictures.frame_us / 1000:g} ms.",
        drawn(next(iter(rows.values()))),
        partial(curve_over_bits, list(rows), curves),
    )


@rc_context(STYLE)
def curve_over_bits(bits: list[int], curves: Mapping[str, list[float | None]], title: str) -> Figure:
    """A line a figure over the number of bits; undefined ones are left out."""
    figure = new_figure(3.4, title)
    axes = figure.subplots()
    for (name, values), colour in zip(curves.items(), (BLUE, VERMILION), strict=True):
        known = [(n, value) for n, value in zip(bits, values, strict=True) if value is not None]
        if known:
            axes.plot(*zip(*known, strict=True), color=colour, marker="o", markersize=5, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(bits, labels=[str(n) for n in bits])
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set(xlabel="bits N of the temporal binary representation", ylabel="CCC")
    figure.legend(loc="outside upper right", ncols=2)
    return figure
