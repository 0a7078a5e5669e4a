"""Losses over time, masked; over the batches of all processes where several train together."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from snn.processes import pooled_mean, total


def ccc(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Concordance correlation coefficient of each column of [N, K] (Lin 1989), differentiable.

    CCC = 2 cov(p, t) / (var(p) + var(t) + (mean(p) - mean(t))^2), population moments; 0 where both are constant.
    """
    means = pooled_mean(torch.stack([prediction, target], 1))
    p, t = prediction - means[0].detach(), target - means[1].detach()  # moments about the mean do not change with it
    variances, covariance = pooled_mean(torch.stack([p.square() + t.square(), p * t], 1))
    spread = variances + (means[0] - means[1]).square()
    return 2 * covariance / spread.clamp(min=1e-8)


def concordance_loss(
    prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor, mse_share: float = 0.0
) -> torch.Tensor:
    """mean over valence and arousal of (1 - CCC), mixed with the mean squared error.

    loss = (1 - mse_share) (1 - CCC) + mse_share MSE over the unmasked estimates of the whole batch.

    Args:
        prediction, target: [T, B, 2]; mask: bool [T, B], False where a label is invalid.
    """
    p, t = prediction[mask], target[mask]
    if total(p.new_tensor(float(len(p)))) < 2:
        return prediction.sum() * 0
    concordance = (1 - ccc(p, t)).mean()
    return (1 - mse_share) * concordance + mse_share * pooled_mean((p - t).square()).mean()


def class_loss(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, mean of -log softmax(logits)[class] over what is labelled; 0 where nothing is.

    Args:
        logits: [..., K]; classes: integers [...], below 0 where a label is invalid.
    """
    valid = classes >= 0
    return pooled_mean(F.cross_entropy(logits[valid], classes[valid].long(), reduction="none"))


def unit_loss(logits: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy, mean of -log sigmoid(logit) or of -log(1 - sigmoid(logit)), as the unit shows or not.

    Args:
        logits: [..., K]; units: 0 or 1 [..., K], below 0 where a label is invalid. 0 where all are.
    """
    valid = units >= 0
    return pooled_mean(
        F.binary_cross_entropy_with_logits(logits[valid], units[valid].to(logits.dtype), reduction="none")
    )
