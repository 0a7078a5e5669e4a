"""The published score: of each test sequence several random clips, and the mean and spread of the runs' figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from datasets.see import EMOTIONS, LIGHTINGS
from experiments.studies.fitting import finite
from snn.class_metrics import class_metrics

Spread = dict[str, float | None]
"""Mean and standard deviation (n - 1) over the runs; None where undefined."""


def scores(logits: np.ndarray, emotion: np.ndarray, lighting: np.ndarray) -> dict[str, Any]:
    """Figures of R runs over K test sequences; every run is scored by itself, no clips are put to a vote.

    war: share of sequences that are right; uar: mean recall of the seven emotions, undefined where one is absent;
    recalls: of each emotion; lightings: share that is right under each. confusion: [label][answer], all runs.

    Args:
        logits: [R, K, 7]. emotion, lighting: [K], places in `EMOTIONS` and `LIGHTINGS`.

    Raises:
        NeuvaError: if a logit is no finite number.
    """
    answers = finite(logits, "logits of the test clips").argmax(-1)
    runs = [class_metrics(answer, emotion, len(EMOTIONS)) for answer in answers]
    right = answers == emotion
    return {
        "runs": len(runs),
        "war": spread([run.war for run in runs]),
        "uar": spread([run.uar for run in runs]),
        "recalls": {name: spread([run.recalls[place] for run in runs]) for place, name in enumerate(EMOTIONS)},
        "lightings": {
            name: spread([_share(row[lighting == place]) for row in right]) for place, name in enumerate(LIGHTINGS)
        },
        "confusion": np.sum([run.confusion for run in runs], axis=0).tolist(),
    }


def spread(values: Sequence[float | None]) -> Spread:
    """Mean and deviation of the runs; nothing where a run has no value, no deviation of one run alone."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return {"mean": None, "sd": None}
    return {"mean": float(np.mean(known)), "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None}


def _share(right: np.ndarray) -> float | None:
    return float(right.mean()) if len(right) else None
