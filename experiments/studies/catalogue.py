"""The studies by name; each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from neuva import NeuvaError

if TYPE_CHECKING:
    from experiments.studies.study import Study

CONFIGS = Path(__file__).parents[1] / "configs" / "studies"


@dataclass(frozen=True)
class Entry:
    """What the command line's help says of a study without importing it: `what` and `extra` are the study's own.

    module: whose STUDY it is.
    """

    what: str
    module: str
    extra: Mapping[str, str] = field(default_factory=dict)


STUDIES = {
    "neuromorphic-va": Entry(
        "valence and arousal a frame from simulated events: frame, video and spiking models, and emotions from them",
        "experiments.studies.neuromorphic_va",
        {"nefer": "store of NEFER (`neuva data make nefer`), whose emotions are told from valence and arousal"},
    ),
    "seen": Entry(
        "emotions from one eye by frames and events, and the part of it that a chip can take",
        "experiments.studies.seen",
    ),
    "mae-tcn-transformer": Entry(
        "valence and arousal, expressions and action units of videos: masked autoencoder, TCN, transformer",
        "experiments.studies.mae_tcn_transformer",
    ),
}


def study_called(name: str) -> Study:
    """The study of that name.

    Raises:
        NeuvaError: if there is none.
    """
    if name not in STUDIES:
        raise NeuvaError(f'study "{name}" is not known: choose one of {", ".join(STUDIES)}')
    return import_module(STUDIES[name].module).STUDY
