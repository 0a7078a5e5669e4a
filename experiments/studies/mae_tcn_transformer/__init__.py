"""Study: a masked autoencoder's features of faces, then TCNs and a transformer over time, on Aff-Wild2's three tasks.

Zhou et al., "Boosting Continuous Emotion Recognition with Self-Pretraining using Masked Autoencoders, Temporal
Convolutional Networks, and Transformers", arXiv 2403.11440.
"""

from __future__ import annotations

from experiments.studies.mae_tcn_transformer.checks import check
from experiments.studies.mae_tcn_transformer.config import StudyConfig
from experiments.studies.mae_tcn_transformer.jobs import stages
from experiments.studies.mae_tcn_transformer.pictures import pictures
from experiments.studies.mae_tcn_transformer.tables import tables
from experiments.studies.study import Study

STUDY = Study(
    name="mae-tcn-transformer",
    what="valence and arousal, expressions and action units of videos: masked autoencoder, TCN, transformer",
    paper="Zhou et al., arXiv 2403.11440",
    data={"aff-wild2": "mae-tcn-transformer.yaml", "synthetic-videos": "mae-tcn-transformer-faces.yaml"},
    config=StudyConfig,
    check=check,
    stages=stages,
    tables=tables,
    pictures=pictures,
    extra={},
)

__all__ = ["STUDY"]
