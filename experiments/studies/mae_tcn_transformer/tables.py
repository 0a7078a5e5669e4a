"""The study's figures: a table a task, a row a split, and what a reader must know of how they came about."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from datasets.aff_wild2.annotations import ACTION_UNITS, EXPRESSIONS
from experiments.studies.mae_tcn_transformer.clips import OFFICIAL, TASKS, splits
from experiments.studies.mae_tcn_transformer.config import StudyConfig
from experiments.studies.study import Cell, Results, Table
from snn.baselines.sequence import Task

Values = list[float | None]
SYNTHETIC = "Measured on synthetic videos: no result on Aff-Wild2."
TITLES = {
    "valence_arousal": "Valence and arousal: concordance correlation coefficient",
    "expression": "Expressions: F1 of each class, and macro F1",
    "action_units": "Action units: F1 of each, and their mean",
}
HEADINGS = {
    "valence_arousal": ("CCC", "CCC valence", "CCC arousal"),
    "expression": ("macro F1", "F1 of those present", *EXPRESSIONS),
    "action_units": ("mean F1", "F1 of those present", *ACTION_UNITS),
}


def tables(config: StudyConfig, results: Results) -> list[Table]:
    """One table for each task that has a result, and one of the encoders."""
    made = [_task_table(config, results, task) for task in TASKS if any(_of_task(config, results, task))]
    return made + [table for table in (_encoder_table(config, results),) if table.rows]


def sequence_job(task: str, split: str) -> str:
    """Name of the job that trains a task on a split."""
    return f"{task.replace('_', '-')}-{split}"


def figures(task: Task, metrics: dict[str, Any]) -> Values:
    """The task's figures in the order of `HEADINGS`; None where undefined."""
    if task == "valence_arousal":
        return [metrics["ccc"], metrics["ccc_valence"], metrics["ccc_arousal"]]
    present = [value for value in metrics["f1s"] if value is not None]
    return [metrics["f1"], _mean(present), *metrics["f1s"]]


def _task_table(config: StudyConfig, results: Results, task: Task) -> Table:
    found = dict(_of_task(config, results, task))
    rows = {split: figures(task, result["metrics"]) for split, result in found.items()}
    counts = {split: (result["scored_clips"], result["frames"]) for split, result in found.items()}
    folds = [values for split, values in rows.items() if split != OFFICIAL]
    cells: list[tuple[Cell, ...]] = [(_shown(split), *counts[split], *values) for split, values in rows.items()]
    if len(folds) > 1:
        columns = list(zip(*folds, strict=True))
        cells.append((f"mean of {len(folds)} folds", None, None, *map(_mean, columns)))
        cells.append(("their standard deviation", None, None, *map(_spread, columns)))
    return Table(
        name=task.replace("_", "-"),
        title=TITLES[task],
        headings=("scored on", "clips", "frames", *HEADINGS[task]),
        rows=tuple(cells),
        note=" ".join(_notes(config, task, found)),
    )


def _encoder_table(config: StudyConfig, results: Results) -> Table:
    tuned = {s: results[f"fine-tuning-{s}"] for s in splits(config.folds) if f"fine-tuning-{s}" in results}
    painted = {s: results.get(f"pretraining-{s}", {"pictures": None, "loss": None}) for s in tuned}
    note = (
        "Pictures of an epoch, and losses of the last on them. Reconstruction: mean square over masked patches; a dash "
        "where the encoder began with the weights of a file as they are."
    )
    return Table(
        name="encoders",
        title="Encoders: a masked autoencoder, then fine-tuned on expressions",
        headings=("of the split", "pictures", "reconstruction loss", "pictures with an expression", "cross-entropy"),
        rows=tuple(
            (_shown(s), painted[s]["pictures"], painted[s]["loss"], tuned[s]["pictures"], tuned[s]["loss"])
            for s in tuned
        ),
        note=f"{SYNTHETIC} {note}" if any(result["synthetic"] for result in tuned.values()) else note,
    )


def _of_task(config: StudyConfig, results: Results, task: str) -> Iterator[tuple[str, Any]]:
    for split in splits(config.folds):
        if (result := results.get(sequence_job(task, split))) is not None:
            yield split, result


def _shown(split: str) -> str:
    """How a reader sees a split."""
    return split.replace("-", " ")


def _notes(config: StudyConfig, task: Task, found: dict[str, Any]) -> Iterator[str]:
    if any(result["synthetic"] for result in found.values()):
        yield SYNTHETIC
    yield "Networks of the last epoch, none chosen by what they are scored on; figures are pooled over all frames."
    if len(found) > 1:
        yield (
            "official: the authors' split, their fold 0; videos 1 to videos "
            f"{config.folds}: the store's folds by video, which are not the authors' folds 0 to 4."
        )
    if config.encoder_of == "official" and len(found) > 1:
        yield (
            "One encoder, trained on the official training clips, serves all folds: it has seen most of the folds' "
            "scored clips with their expressions, so the folds' figures are too good (a leak)."
        )
    elif len(found) > 1:
        yield "Each split has an encoder of its own, which has seen no video that is scored."
    if any(result["encoder_weights"] for result in found.values()):
        yield "The encoder began with the weights of a file: on which people they were trained is not known here."
    if silent := sum(result["silent_clips"] for result in found.values()):
        yield f"{silent} clips (counted once a split) have no sound: silence stood in."
    yield from _undefined(task, found)


def _undefined(task: Task, found: dict[str, Any]) -> Iterator[str]:
    if task == "valence_arousal":
        for split, result in found.items():
            lost = [name for name in ("valence", "arousal") if result["metrics"][f"ccc_{name}"] is None]
            if lost:
                yield f"{_shown(split)}: CCC is undefined, as the labels of {' and '.join(lost)} are constant."
        return
    names = EXPRESSIONS if task == "expression" else ACTION_UNITS
    for missing, where in _by_missing(found, names).items():
        yield (
            f"{', '.join(where)}: no scored frame shows {missing}, whose F1 is undefined, and so is the mean over all."
        )


def _by_missing(found: dict[str, Any], names: Sequence[str]) -> dict[str, list[str]]:
    """The splits by what their scored frames never show."""
    where: dict[str, list[str]] = {}
    for split, result in found.items():
        missing = [name for name, value in zip(names, result["metrics"]["f1s"], strict=True) if value is None]
        if missing:
            where.setdefault(", ".join(missing), []).append(_shown(split))
    return where


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _spread(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.stdev(known) if len(known) > 1 and len(known) == len(values) else None
