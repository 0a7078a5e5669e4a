"""Emotions told from a regressor's valence and arousal, without training for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.store import EventStore
from experiments.clips import nearest
from experiments.studies.fitting import device
from experiments.studies.neuromorphic_va.clips import ClipSet, provenance
from experiments.studies.neuromorphic_va.config import NeuromorphicVa
from experiments.studies.neuromorphic_va.prototypes import wheel
from experiments.studies.neuromorphic_va.training import ESTIMATES, estimate_clips, load
from experiments.studies.neuromorphic_va.variants import Variant
from experiments.studies.stores import is_synthetic
from experiments.studies.study import Inputs, Progress
from neuva import NeuvaError, atomic_path
from snn.class_metrics import class_metrics

POINTS = "points.npz"
SHORTEST = 5
"""Frames that a synthetic face must keep an expression for it to count."""


@dataclass(frozen=True)
class Stretch:
    """Frames that show one emotion. rows: of the clip set. split: of the store. emotions: by the kind of label."""

    rows: slice
    split: str
    emotions: dict[str, str]


def on_nefer(
    config: NeuromorphicVa, variant: Variant, inputs: Inputs, clips: Path, folder: Path, progress: Progress
) -> dict[str, Any]:
    """The networks of all folds on NEFER's clips; figures are of all answers together, one a network and clip."""
    store, read = EventStore(inputs.extra["nefer"]), ClipSet.read(clips)
    stretches = list(clip_stretches(store, read))
    means = []
    for fold in range(config.folds):
        progress(f"{variant.name} on NEFER", fold, config.folds)
        net, where = load(config, variant, inputs.of_job(variant.of_fold(fold))), device()
        estimates = estimate_clips(net.to(where), read, np.arange(len(read.names)), variant.view.full, where)
        means.append(_means(estimates, stretches))
    scores = _scores(np.concatenate(means), stretches, store, folder)
    return {**scores, "trained_on_synthetic": is_synthetic(EventStore(inputs.store))}


def on_faces(
    config: NeuromorphicVa, variant: Variant, inputs: Inputs, clips: Path, folder: Path, progress: Progress
) -> dict[str, Any]:
    """The synthetic faces' own expressions in NEFER's place, from each fold's estimates of people new to it."""
    progress(f"{variant.name} on the faces' expressions", 0, 1)
    store, read = EventStore(inputs.store), ClipSet.read(clips)
    stretches = list(expression_stretches(store, read))
    return _scores(_means(all_estimates(config, variant, inputs, read), stretches), stretches, store, folder)


def all_estimates(config: NeuromorphicVa, variant: Variant, inputs: Inputs, read: ClipSet) -> np.ndarray:
    """Estimates [N, 2] of every frame, each by the network that was trained without its fold."""
    estimates = np.full((len(read.times), 2), np.nan, np.float32)
    for fold in range(config.folds):
        with np.load(inputs.of_job(variant.of_fold(fold)) / ESTIMATES) as found:
            estimates[found["rows"]] = found["estimates"]
    return estimates


def clip_stretches(store: EventStore, read: ClipSet) -> Iterator[Stretch]:
    """NEFER's clips: one emotion each, as expected and as reported."""
    for clip, name in enumerate(read.names):
        index = store.names.index(str(name))
        meta = store.meta(index)
        emotions = {kind: str(meta[f"emotion_{kind}"]) for kind in ("expected", "reported")}
        yield Stretch(read.rows(clip), store.splits[index], emotions)


def expression_stretches(store: EventStore, read: ClipSet) -> Iterator[Stretch]:
    """Runs of at least `SHORTEST` frames of one expression of the synthetic faces."""
    for clip, name in enumerate(read.names):
        index, rows = store.names.index(str(name)), read.rows(clip)
        names = store.meta(index)["expressions"]
        shown = store.arrays(index, "expression")[nearest(store.labels(index)[0], read.times[rows])]
        ends = np.flatnonzero(np.diff(shown, append=-1)) + 1
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            if end - start >= SHORTEST:
                emotion = str(names[shown[start]]).capitalize()
                yield Stretch(slice(rows.start + int(start), rows.start + int(end)), "all", {"drawn": emotion})


def _means(estimates: np.ndarray, stretches: list[Stretch]) -> np.ndarray:
    """Mean valence and arousal of each stretch, [K, 2]."""
    return np.array([estimates[stretch.rows].mean(0) for stretch in stretches]).reshape(-1, 2)


def _scores(means: np.ndarray, stretches: list[Stretch], store: EventStore, folder: Path) -> dict[str, Any]:
    """Metrics by kind of label and split; the means go into `folder`.

    means: [A * K, 2], of A answers to each of K stretches, all of the first network's before the second's.
    """
    if not stretches:
        raise NeuvaError(f"{store.path}: shows no emotion for {SHORTEST} frames: there is nothing to score")
    answers = len(means) // len(stretches)
    predicted, splits = wheel().nearest(means), np.array([stretch.split for stretch in stretches] * answers)
    scores: list[dict[str, Any]] = []
    for kind in stretches[0].emotions:
        told = wheel().numbers([stretch.emotions[kind] for stretch in stretches] * answers)
        for split in dict.fromkeys([*sorted(set(splits.tolist()), reverse=True), "all"]):
            within = np.ones(len(splits), bool) if split == "all" else splits == split
            scores.append({"labels": kind, "split": split, **_score(predicted[within], told[within], answers)})
    with atomic_path(folder / POINTS) as temporary:
        first = [next(iter(stretch.emotions.values())) for stretch in stretches] * answers
        np.savez(temporary, means=means, emotions=np.array(first))
    return {"scores": scores, **provenance(store)}


def _score(predicted: np.ndarray, told: np.ndarray, answers: int) -> dict[str, Any]:
    """Metrics of those whose emotion is on the wheel; None where there is none. answers: to each clip."""
    known = told >= 0
    clips, left_out = (int(each.sum()) // answers for each in (known, ~known))
    result: dict[str, Any] = {"clips": clips, "left_out": left_out, "war": None, "uar": None}
    if known.any():
        result |= class_metrics(predicted, told, len(wheel().names), known).to_dict()
        result["majority"] = float(np.bincount(told[known]).max() / known.sum())
    return result
