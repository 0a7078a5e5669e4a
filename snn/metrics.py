"""Metrics of valence and arousal, pooled over all estimates of a set, never averaged over clips."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torchmetrics.functional import concordance_corrcoef, mean_squared_error, pearson_corrcoef


@dataclass(frozen=True)
class AffectMetrics:
    """CCC, PCC and RMSE of valence and arousal on the [-1, 1] scale.

    None where undefined: CCC where labels are constant, PCC where labels or estimates are. Constant estimates of
    labels that vary have CCC 0.
    """

    ccc_valence: float | None
    ccc_arousal: float | None
    pcc_valence: float | None
    pcc_arousal: float | None
    rmse_valence: float
    rmse_arousal: float
    estimates: int

    @property
    def ccc(self) -> float | None:
        """Mean CCC of valence and arousal."""
        if self.ccc_valence is None or self.ccc_arousal is None:
            return None
        return (self.ccc_valence + self.ccc_arousal) / 2

    def to_dict(self) -> dict[str, float | int | None]:
        """All figures, JSON-serialisable."""
        return {"ccc": self.ccc, **asdict(self)}


def affect_metrics(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None) -> AffectMetrics:
    """Metrics by torchmetrics over pooled estimates.

    Args:
        prediction, target: [N, 2]; mask: bool [N] or None.
    """
    if mask is not None:
        prediction, target = prediction[mask], target[mask]
    p, t = torch.as_tensor(prediction, dtype=torch.float64), torch.as_tensor(target, dtype=torch.float64)
    ccc = [_ccc(p[:, k], t[:, k]) for k in (0, 1)]
    pcc = [float(pearson_corrcoef(p[:, k], t[:, k])) if _vary(p[:, k], t[:, k]) else None for k in (0, 1)]
    rmse = [float(mean_squared_error(p[:, k].contiguous(), t[:, k].contiguous(), squared=False)) for k in (0, 1)]
    return AffectMetrics(ccc[0], ccc[1], pcc[0], pcc[1], rmse[0], rmse[1], len(t))


def _vary(*columns: torch.Tensor) -> bool:
    return all(len(column) > 1 and bool(column.min() < column.max()) for column in columns)


def _ccc(prediction: torch.Tensor, target: torch.Tensor) -> float | None:
    if not _vary(target):
        return None
    return float(concordance_corrcoef(prediction, target)) if _vary(prediction) else 0.0
