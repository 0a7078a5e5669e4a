"""The study's tables, of the jobs that are done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.studies.neuromorphic_va.config import NeuromorphicVa
from experiments.studies.neuromorphic_va.prototypes import wheel
from experiments.studies.neuromorphic_va.variants import (
    Variant,
    binary_variant,
    grey_variant,
    main_variant,
    variants,
)
from experiments.studies.study import Cell, Results, Table

FIGURES = {
    f"{name.upper()} {letter}": f"{name}_{whole}"
    for name in ("rmse", "pcc", "ccc", "sagr")
    for letter, whole in (("V", "valence"), ("A", "arousal"))
}
"""Headings, and what they are called in `AffectMetrics`."""

BETTER: Mapping[str, Any] = {heading: "smaller" if heading.startswith("RMSE") else "larger" for heading in FIGURES}


def pooled_job(variant: Variant) -> str:
    """The job that pools a variant's folds."""
    return f"{variant.name}-pooled"


def zero_shot_job(model: str) -> str:
    """The job that tells emotions by a model."""
    return f"zero-shot-{model}"


def drawn(result: Mapping[str, Any]) -> str:
    """What of a result is drawn and not filmed, for titles; "" where nothing is."""
    if result["synthetic"]:
        return "synthetic faces"
    return "networks trained on synthetic faces" if result.get("trained_on_synthetic") else ""


def tables(config: NeuromorphicVa, results: Results) -> list[Table]:
    """All tables that have a row."""
    found = [_models(config, results), _folds(config, results), _bit_depth(config, results), _input(config, results)]
    return [table for table in [*found, *_emotions(config, results)] if table.rows]


def _models(config: NeuromorphicVa, results: Results) -> Table:
    rows = [
        (model, _sees(variant), results.get(variant.of_fold(0), {}).get("parameters"), *_figures(result))
        for model in config.models
        for variant in [main_variant(config, model)]
        if (result := results.get(pooled_job(variant))) is not None
    ]
    headings = ("model", "sees", "parameters", "frames", *FIGURES)
    title = f"Valence and arousal a frame from events, all frames of {config.folds} folds pooled"
    return Table("models", title, headings, tuple(rows), _note(config, results), best=BETTER)


def _folds(config: NeuromorphicVa, results: Results) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for variant in variants(config):
        done = [results.get(variant.of_fold(fold)) for fold in range(config.folds)]
        rows += [
            (variant.model, _sees(variant), str(fold), *_figures(result))
            for fold, result in enumerate(done)
            if result is not None
        ]
        if None not in done:
            frames, *figures = zip(*[_figures(result) for result in done if result is not None], strict=True)
            rows.append((variant.model, _sees(variant), "mean", sum(frames), *map(_mean, figures)))
    headings = ("model", "sees", "fold", "frames", *FIGURES)
    note = (
        "A row a fold, all its frames pooled, and the mean of the folds. Where networks of different folds lean "
        "differently, the figures of all frames pooled are below this mean: a correlation takes the lean for an error. "
        f"{_note(config, results)}"
    )
    return Table("folds", "Each fold by itself", headings, tuple(rows), note)


def _bit_depth(config: NeuromorphicVa, results: Results) -> Table:
    depth = config.bit_depth
    rows = (
        []
        if depth is None
        else [
            (bits, config.pictures.frame_us / bits / 1000, *_figures(result))
            for bits in depth.bits
            if (result := results.get(pooled_job(binary_variant(config, depth.model, bits)))) is not None
        ]
    )
    note = (
        f"{'' if depth is None else depth.model}; a frame is always {config.pictures.frame_us / 1000:g} ms, cut into N "
        f"steps. {_note(config, results)}"
    )
    title = "Bit depth N of the temporal binary representation, folds pooled"
    return Table("bit-depth", title, ("N", "ms a bit", "frames", *FIGURES), tuple(rows), note, best=BETTER)


def _input(config: NeuromorphicVa, results: Results) -> Table:
    rows = [
        (model, _sees(variant), *_figures(result))
        for model in config.grey
        for variant in (main_variant(config, model), grey_variant(config, model))
        if (result := results.get(pooled_job(variant))) is not None
    ]
    note = f"The camera's frames are those the events were simulated from, in grey. {_note(config, results)}"
    title = "Events against the camera's frames, folds pooled"
    return Table("input", title, ("model", "sees", "frames", *FIGURES), tuple(rows), note)


def _emotions(config: NeuromorphicVa, results: Results) -> Iterator[Table]:
    done = [(model, results[zero_shot_job(model)]) for model in config.zero_shot if zero_shot_job(model) in results]
    if not done:
        return
    names = wheel().names
    rows = [
        (model, score["labels"], score["split"], score["clips"], score["left_out"], score["war"], score["uar"],
         1 / len(names), score.get("majority"))
        for model, result in done
        for score in result["scores"]
    ]  # fmt: skip
    yield Table(
        "zero-shot",
        f"Emotions from valence and arousal: {_shown_on(done[0][1])}",
        ("model", "labels", "split", "clips", "left out", "accuracy", "mean recall", "chance", "majority class"),
        tuple(rows),
        _emotion_note([result for _, result in done]),
        best={"accuracy": "larger", "mean recall": "larger"},
        data=_data(done[0][1]),
    )
    for model, result in done:
        for kind in dict.fromkeys(score["labels"] for score in result["scores"]):
            score = next(score for score in result["scores"] if (score["labels"], score["split"]) == (kind, "all"))
            if "confusion" in score:
                counts = tuple((name, *row) for name, row in zip(names, score["confusion"], strict=True))
                title = f"{model}: {kind} emotion (rows) against the nearest on the wheel (columns), answers"
                name = f"confusion-{model}-{kind}"
                yield Table(name, title, ("emotion", *names), counts, _no_result(result), data=_data(result))


def _emotion_note(results: list[Mapping[str, Any]]) -> str:
    notes = [
        f"Not trained on emotions: the nearest of {len(wheel().names)} prototypes to the mean valence and arousal of a "
        f"clip. Prototypes: {wheel().source}.",
        "Left out: clips whose emotion is none of these (None, neutral, low arousal). Chance: one in "
        f"{len(wheel().names)}. Majority class: always the most frequent emotion.",
    ]
    if results[0]["dataset"] == "nefer":
        notes.append(
            "Every fold's network answers for each clip; all answers count, and confusion tables show all. Validation "
            "is the published test."
        )
    else:
        notes.append("A clip is a stretch of one drawn expression, answered by the network new to the person.")
    scores = [score for result in results for score in result["scores"] if "recalls" in score]
    absent = [name for k, name in enumerate(wheel().names) if any(score["recalls"][k] is None for score in scores)]
    if absent:
        notes.append(f"Mean recall is undefined where it is a dash: a row there has no clip of {' or '.join(absent)}.")
    return " ".join([*notes, _no_result(results[0])]).strip()


def _note(config: NeuromorphicVa, results: Results) -> str:
    """The protocol, what is undefined and why, and whether faces are drawn."""
    done = {variant.of_fold(fold): (variant, fold) for variant in variants(config) for fold in range(config.folds)}
    undefined = {name for name in done if name in results and None in _figures(results[name])}
    constant = sorted({fold for name, (_, fold) in done.items() if name in undefined})
    notes = [
        f"{config.folds} folds, nobody in two; the last epoch is tested, nothing is selected. Scale [-1, 1]; "
        "SAGR: share of estimates of the label's sign, sign(0) = 0."
    ]
    if constant:
        notes.append(
            f"CCC or PCC is undefined where labels or estimates are constant: fold {', '.join(map(str, constant))}."
        )
    synthetic = {_no_result(result) for result in results.values() if result.get("synthetic")}
    return " ".join([*notes, *synthetic])


def _no_result(result: Mapping[str, Any]) -> str:
    what = drawn(result)
    return f"{what.capitalize()}: no result on a published data set." if what else ""


def _data(result: Mapping[str, Any]) -> str:
    """What emotions were told of, where it is not the study's store."""
    if result["dataset"] != "nefer":
        return ""
    return f"nefer ({drawn(result)})" if drawn(result) else "nefer"


def _shown_on(result: Mapping[str, Any]) -> str:
    if result["dataset"] != "nefer":
        return "the synthetic faces' expressions"
    return ", ".join(["NEFER, zero-shot", *filter(None, [drawn(result)])])


def _sees(variant: Variant) -> str:
    view = variant.view
    texts = {"binary": f"events, {view.parts} bit", "grey": "grey frames", "spikes": f"events, {view.parts} steps"}
    return texts[view.kind]


def _figures(result: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Frames, and the figures of `FIGURES`."""
    return (result["estimates"], *(result[key] for key in FIGURES.values()))


def _mean(values: Sequence[Cell]) -> float | None:
    """None where one is undefined."""
    numbers = [value for value in values if isinstance(value, int | float)]
    return sum(numbers) / len(numbers) if len(numbers) == len(values) else None
