"""DeepFool: nearest to the decision boundary first (Ducoffe and Precioso 2018)."""

from __future__ import annotations

import numpy as np
import torch

from strategies.pool import Need, Pool, TargetKind
from strategies.questions import questions
from strategies.ranking import Candidates, Scores, Values
from strategies.rows import as_tensor, chunks
from strategies.strategy import Strategy

# Reported where there is no boundary at all: one class, or classes with equal weights.
NO_BOUNDARY = float(np.finfo(np.float32).max)


def score(pool: Pool, candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Score by 1 / (1 + distance to the nearest boundary of the linear head).

    On a linear head DeepFool's smallest perturbation of the features has a closed form,
    min over k != y^ of |f_k - f_y^| / |W_k - W_y^|; multi-label: min over k of |f_k| / |W_k|.

    Note: the published code perturbs towards the last of ten classes, not the nearest; this
    follows the paper. Of several questions the nearest boundary counts.
    """
    boundary = np.min([_distances(one) for one in questions(pool)], axis=0)
    return Scores(1 / (1 + boundary), {"boundary_distance": boundary})


def _distances(pool: Pool) -> Values:
    """Return each task's distance to the nearest boundary of one question: (N,)."""
    assert pool.linear_head is not None
    weight = as_tensor(pool.linear_head.weight).to(torch.float64)
    logits = as_tensor(pool.linear_head.logits)
    multilabel = pool.target is TargetKind.MULTILABEL
    widths = torch.linalg.vector_norm(weight, dim=1) if multilabel else torch.cdist(weight, weight)
    distances = torch.empty(pool.size, dtype=torch.float64)
    for part in chunks(pool.size, 8 * len(weight)):
        values = logits[part].to(torch.float64)
        gaps = _multilabel(values, widths) if multilabel else _softmax(values, widths)
        distances[part] = gaps.cpu()
    found: Values = distances.clamp(max=NO_BOUNDARY).numpy()
    return found


def _multilabel(logits: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
    return _quotients(logits.abs(), widths.expand_as(logits)).amin(dim=1)


def _softmax(logits: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
    top, label = logits.max(dim=1, keepdim=True)
    distances = _quotients(top - logits, widths[label.squeeze(1)])
    return distances.scatter_(1, label, torch.inf).amin(dim=1)


def _quotients(gaps: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
    """Return gaps / widths; where both are 0 the task lies on the boundary, at distance 0."""
    return torch.where(gaps == 0, 0.0, gaps / widths)


DEEPFOOL = Strategy(
    name="deepfool",
    score=score,
    needs=frozenset({Need.LINEAR_HEAD}),
    paper="Ducoffe and Precioso 2018; Moosavi-Dezfooli et al., CVPR 2016",
    summary="Nearest to the linear head's decision boundary first.",
)
