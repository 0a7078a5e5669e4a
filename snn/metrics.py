"""Metrics of valence and arousal, pooled over all estimates of a set, never averaged over clips."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torchmetrics.functional import concordance_corrcoef, mean_squared_error, pearson_corrcoef

from neuva import NeuvaError


@dataclass(frozen=True)
class AffectMetrics:
    """CCC, PCC, RMSE, SAGR and ICC of valence and arousal on the [-1, 1] scale.

    sagr: share of estimates whose sign is the label's (Nicolaou et al. 2011), sign(0) = 0: a label of 0 agrees with
    an estimate of exactly 0 alone. icc: ICC(3, 1) (Shrout and Fleiss 1979), the label and the estimate as two raters.
    None where undefined: CCC and ICC where labels are constant, PCC where labels or estimates are. Constant estimates
    of labels that vary have CCC 0.
    """

    ccc_valence: float | None
    ccc_arousal: float | None
    pcc_valence: float | None
    pcc_arousal: float | None
    rmse_valence: float
    rmse_arousal: float
    sagr_valence: float
    sagr_arousal: float
    icc_valence: float | None
    icc_arousal: float | None
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

    Raises:
        NeuvaError: if there is nothing to compare, or an estimate is no finite number.
    """
    if mask is not None:
        prediction, target = prediction[mask], target[mask]
    if not len(target):
        raise NeuvaError("no estimate has a valid label: there is nothing to score; name another split or store")
    bad = int((~np.isfinite(prediction)).any(1).sum())
    if bad:
        raise NeuvaError(
            f"{bad} of {len(prediction)} estimates are no finite numbers: the network's weights are spoilt; "
            "train it with a smaller learning rate"
        )
    p, t = torch.as_tensor(prediction, dtype=torch.float64), torch.as_tensor(target, dtype=torch.float64)
    ccc = [_ccc(p[:, k], t[:, k]) for k in (0, 1)]
    pcc = [float(pearson_corrcoef(p[:, k], t[:, k])) if _vary(p[:, k], t[:, k]) else None for k in (0, 1)]
    rmse = [float(mean_squared_error(p[:, k].contiguous(), t[:, k].contiguous(), squared=False)) for k in (0, 1)]
    sagr = (torch.sign(p) == torch.sign(t)).double().mean(0).tolist()
    icc = [_icc(p[:, k], t[:, k]) if _vary(t[:, k]) else None for k in (0, 1)]
    return AffectMetrics(ccc[0], ccc[1], pcc[0], pcc[1], rmse[0], rmse[1], sagr[0], sagr[1], icc[0], icc[1], len(t))


def _icc(prediction: torch.Tensor, target: torch.Tensor) -> float:
    """ICC(3, 1) = (B - E) / (B + E) of two raters: B mean square between targets, E the residual one.

    With s = p + t and d = p - t, B = var(s) / 2 and E = var(d) / 2, sample variances.
    """
    between, residual = (prediction + target).var() / 2, (prediction - target).var() / 2
    return float((between - residual) / (between + residual))


def _vary(*columns: torch.Tensor) -> bool:
    return all(len(column) > 1 and bool(column.min() < column.max()) for column in columns)


def _ccc(prediction: torch.Tensor, target: torch.Tensor) -> float | None:
    if not _vary(target):
        return None
    return float(concordance_corrcoef(prediction, target)) if _vary(prediction) else 0.0
