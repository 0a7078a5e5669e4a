"""The study's stages: pictures, trainings side by side, then chips, and alone at last the timing."""

from __future__ import annotations

from functools import partial
from typing import Any

from experiments.studies.seen.chips import chips
from experiments.studies.seen.clips import NAME, prepare, require_clips
from experiments.studies.seen.config import SeenConfig, job_name
from experiments.studies.seen.drawing import pictures
from experiments.studies.seen.speed import speed
from experiments.studies.seen.tables import tables
from experiments.studies.seen.training import train
from experiments.studies.stores import open_store
from experiments.studies.study import Inputs, Job, Study


def check(_: Any, inputs: Inputs) -> None:
    """Refuse a store of another data set, or one that lacks pictures, a split or emotions."""
    require_clips(open_store(STUDY, inputs.store))


def stages(config: Any, inputs: Inputs) -> list[list[Job]]:
    """Pictures; a network each; chips; timing."""
    trainings = [
        Job(job_name(setting, letter), partial(train, setting, letter, config, inputs))
        for setting, letter in config.trainings()
    ]
    later = [[Job(name, partial(work, config, inputs))] for name, work in (("chips", chips), ("speed", speed))]
    return [[Job(NAME, partial(prepare, config, inputs))], trainings, *later]


STUDY = Study(
    name="seen",
    what="emotions from one eye by frames and events, and the part of it that a chip can take",
    paper="Zhang et al., In the Blink of an Eye: Event-based Emotion Recognition, SIGGRAPH 2023 (arXiv 2310.04043)",
    data={"see": "seen.yaml", "synthetic-eyes": "seen-eyes.yaml"},
    config=SeenConfig,
    check=check,
    stages=stages,
    tables=tables,
    pictures=pictures,
    extra={},
)
