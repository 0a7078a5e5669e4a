"""What the study has found, as tables; of whatever jobs are done."""

from __future__ import annotations

from typing import Any, Literal

from datasets.see import LIGHTINGS
from experiments.studies.seen.chip_table import chip_table
from experiments.studies.seen.clips import NAME
from experiments.studies.seen.config import FULL, SeenConfig, job_name
from experiments.studies.study import Cell, Results, Table
from snn.networks.seen import SAMPLINGS

ORDER = ("happiness", "sadness", "angry", "disgust", "surprise", "fear", "neutral")
"""Of the emotions, as published."""
BEST: dict[str, Literal["larger", "smaller"]] = {"WAR": "larger", "UAR": "larger"}
TERMS = (
    "Ex-Sy: a clip of x event frames, y left out after each; WAR: share of all clips told right; UAR: mean of the "
    "emotions' recalls; normal to hdr: right under that light; GMAC: 1e9 multiply-accumulates a clip"
)
WHAT = {
    "A": "no last frame",
    "B": "second frame for the last",
    "C": "all frames",
    "D": "no weight copy",
    "E": "no copy of the attention",
    "F": "CNN for the spiking part",
    "G": "LSTM for the spiking part",
    "H": "transformer for the spiking part",
    "I": "3D CNN for the spiking part",
    "J": "last membrane",
    "K": "last spike",
    "L": "mean spike",
    "M": "as published",
}


def tables(config: SeenConfig, results: Results) -> list[Table]:
    """Recognition with spread, ablations, test-selected epochs, speed and chips, as far as their jobs are done."""
    found = [
        *_recognition(config, results),
        *_ablations(config, results),
        *_selected(config, results),
        *_speed(results),
        *chip_table(config, results),
    ]
    return [table for table in found if table.rows]


def protocol(config: SeenConfig, results: Results) -> str:
    """What a reader must know of every figure: whose eyes, which split, how it is scored, what is undefined."""
    store = results.get(NAME)
    if store is None:
        return ""
    drawn = "synthetic eyes, no result on any published data; " if store["synthetic"] else ""
    counts = store["clips"]
    told = (
        f"{drawn}split {store['split']}, {store['shared']} of {store['volunteers']} volunteers both trained and tested "
        f"on, {counts['train']} sequences to train and {counts['test']} to test; {config.runs} random clips of each "
        f"test sequence, scored run by run, in percent; networks of the last epoch, {config.training.epochs}"
    )
    absent = f"; no test sequence shows {', '.join(store['absent'])}, so UAR is undefined" if store["absent"] else ""
    return told + absent


def _recognition(config: SeenConfig, results: Results) -> list[Table]:
    done = [(setting, results[setting]) for setting in config.settings if setting in results]
    heads = ("setting", *ORDER, *LIGHTINGS, "WAR", "UAR")
    note = f"{TERMS}; {protocol(config, results)}"
    means, deviations = (
        tuple((setting, *_figures(result["last"], which)) for setting, result in done) for which in ("mean", "sd")
    )
    sizes = tuple((*row, result["macs"] / 1e9) for row, (_, result) in zip(means, done, strict=True))
    return [
        Table("recognition", "Emotions from one eye", (*heads, "GMAC"), sizes, note, best=BEST),
        Table("spread", "Standard deviation between the runs", heads, deviations, f"{note}{_one_run(config)}"),
    ]


def _one_run(config: SeenConfig) -> str:
    return "; one run alone has no deviation" if config.runs == 1 else ""


def _figures(score: dict[str, Any], which: str) -> list[Cell]:
    parts = [*(score["recalls"][name] for name in ORDER), *(score["lightings"][name] for name in LIGHTINGS)]
    return [_percent(part[which]) for part in (*parts, score["war"], score["uar"])]


def _ablations(config: SeenConfig, results: Results) -> list[Table]:
    less = sorted({letter for _, letter in config.trainings() if letter != FULL})
    if not less:
        return []
    heads = tuple(f"{setting} {name}" for setting in config.ablation_settings for name in ("WAR", "UAR"))
    rows = []
    for letter in (*less, FULL):
        jobs = [results.get(job_name(setting, letter)) for setting in config.ablation_settings]
        cells = [
            None if job is None else _percent(job["last"][name]["mean"]) for job in jobs for name in ("war", "uar")
        ]
        if any(job is not None for job in jobs):
            rows.append((letter, WHAT[letter], *cells))
    best: dict[str, Literal["larger", "smaller"]] = dict.fromkeys(heads, "larger")
    note = f"{protocol(config, results)}; sizes of F to I are chosen here, the paper names their kind alone"
    return [Table("ablations", "What the parts are worth", ("", "network", *heads), tuple(rows), note, best=best)]


def _selected(config: SeenConfig, results: Results) -> list[Table]:
    rows = []
    for setting in config.settings:
        if setting in results:
            last, best = results[setting]["last"], results[setting]["test_selected"]
            measured = (last["war"]["mean"], last["uar"]["mean"], best["war"], best["uar"])
            rows.append((setting, *map(_percent, measured), best["epoch"]))
    first = min(config.selected_from, config.training.epochs)
    heads = ("setting", "last WAR", "last UAR", "test-selected WAR", "test-selected UAR", "epoch")
    note = (
        f"test-selected: the epoch with the best (UAR + 2 WAR) / 3 on the test clips themselves, of those from {first} "
        "on, as the published checkpoints were chosen; it has seen the answers and is no result; "
        f"{protocol(config, results)}"
    )
    return [Table("test-selected", "Last epoch, and the epoch chosen on the test clips", heads, tuple(rows), note)]


def _speed(results: Results) -> list[Table]:
    found = results.get("speed")
    if found is None:
        return []
    rows = tuple(
        (setting, 1000 * seconds, SAMPLINGS[setting].duration / seconds)
        for setting, seconds in found["seconds"].items()
    )
    note = f"{found['machine']}, one thread, one clip at a time, shortest of several runs; pictures already resized"
    return [Table("speed", "Inference on this machine", ("setting", "ms a clip", "event frames a second"), rows, note)]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
