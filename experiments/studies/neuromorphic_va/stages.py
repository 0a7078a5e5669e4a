"""The study: its jobs in their order."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datasets.store import EventStore
from experiments.studies.neuromorphic_va.clips import (
    ClipSet,
    clips_job,
    folds_of,
    frame_labels,
    make_clips,
    provenance,
)
from experiments.studies.neuromorphic_va.config import NeuromorphicVa, Spiking
from experiments.studies.neuromorphic_va.emotions import all_estimates, on_faces, on_nefer
from experiments.studies.neuromorphic_va.models import build
from experiments.studies.neuromorphic_va.pictures import pictures
from experiments.studies.neuromorphic_va.tables import pooled_job, tables, zero_shot_job
from experiments.studies.neuromorphic_va.training import require_varied, train
from experiments.studies.neuromorphic_va.variants import Variant, View, main_variant, variants, views
from experiments.studies.study import Inputs, Job, Progress, Study
from neuva import NeuvaError
from snn.metrics import affect_metrics


def check(config: NeuromorphicVa, inputs: Inputs) -> None:
    """Refuse a store from which the study cannot be made.

    Raises:
        NeuvaError: if folds cannot be made, one has no valid label to test on or its removal leaves constant ones to
            train on, a file of weights is missing or does not fit, grey frames are asked for and a clip has none, or
            the store of emotions is not NEFER's.
    """
    store = EventStore(inputs.store)
    clips = folds_of(store, config)
    labels = {clip: frame_labels(store, clip, config.pictures.frame_us) for clip in clips}
    for fold in range(config.folds):
        tested = sum(len(labels[clip]) for clip in clips if clips[clip] == fold)
        if not tested:
            raise NeuvaError(
                f"{inputs.store}: fold {fold} has no frame with a valid label: there is nothing to test on; take more "
                "clips, fewer folds, or a shorter pictures.frame_us"
            )
        rest = [labels[clip] for clip in clips if clips[clip] != fold]
        require_varied(np.concatenate(rest), f"{inputs.store}, without fold {fold}")
    for model in config.models.values():
        if not isinstance(model, Spiking) and model.weights is not None:
            build(model, config.pictures.shown)  # reads its weights, or says why not
    if config.grey:
        for clip in clips:
            store.arrays(clip, "frames")
    if "nefer" in inputs.extra and (dataset := EventStore(inputs.extra["nefer"]).dataset) != "nefer":
        raise NeuvaError(
            f"{inputs.extra['nefer']}: a store of {dataset}; --nefer takes one made by `neuva data make nefer`"
        )


def stages(config: NeuromorphicVa, inputs: Inputs) -> list[list[Job]]:
    """Clips as they are seen; each model trained for each fold; folds pooled and emotions told."""
    zero_shot = {model: main_variant(config, model) for model in config.zero_shot}
    clips = [Job(clips_job(view), partial(make_clips, inputs.store, config, view)) for view in views(variants(config))]
    if "nefer" in inputs.extra:
        nefer = inputs.extra["nefer"]
        clips += [
            Job(_nefer(view), partial(make_clips, nefer, config, view), ("nefer",))
            for view in views(zero_shot.values())
        ]
    training = [
        Job(variant.of_fold(fold), partial(train, config, variant, fold, _folder(inputs, variant)))
        for variant in variants(config)
        for fold in range(config.folds)
    ]
    last = [Job(pooled_job(variant), partial(pool, config, variant, inputs)) for variant in variants(config)]
    for model, variant in zero_shot.items():
        if "nefer" in inputs.extra:
            where = inputs.of_job(_nefer(variant.view))
            last.append(Job(zero_shot_job(model), partial(on_nefer, config, variant, inputs, where), ("nefer",)))
        elif EventStore(inputs.store).dataset == "synthetic-faces":
            where = _folder(inputs, variant)
            last.append(Job(zero_shot_job(model), partial(on_faces, config, variant, inputs, where)))
    return [clips, training, last]


def pool(config: NeuromorphicVa, variant: Variant, inputs: Inputs, folder: Path, progress: Progress) -> dict[str, Any]:  # noqa: ARG001  # a job's contract
    """Metrics of all folds' frames together."""
    progress(f"pooling {variant.name}", 0, 1)
    read = ClipSet.read(_folder(inputs, variant))
    estimates = all_estimates(config, variant, inputs, read)
    metrics = affect_metrics(estimates, read.labels, read.mask).to_dict()
    return {**metrics, **provenance(EventStore(inputs.store))}


def _folder(inputs: Inputs, variant: Variant) -> Path:
    return inputs.of_job(clips_job(variant.view))


def _nefer(view: View) -> str:
    return f"nefer-{view.name}-{view.side}"


STUDY = Study(
    name="neuromorphic-va",
    what="valence and arousal a frame from simulated events: frame, video and spiking models, and emotions from them",
    paper="Berlincioni, Cultrera, Becattini, Del Bimbo: Neuromorphic Valence and Arousal Estimation, arXiv 2401.16058",
    data={"afew-va": "neuromorphic-va.yaml", "synthetic-faces": "neuromorphic-va-faces.yaml"},
    config=NeuromorphicVa,
    check=check,
    stages=stages,
    tables=tables,
    pictures=pictures,
    extra={"nefer": "store of NEFER (`neuva data make nefer`), whose emotions are told from valence and arousal"},
)
