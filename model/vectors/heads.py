"""One linear head, its regularisation chosen by what members say about labels they never saw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.vectors import solver
from model.vectors.folds import Folds
from model.vectors.solver import Linear
from strategies.pool import BoolArray, TargetKind

PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.001, 0.0001)
"""Tried from strong to weak, on vectors whose mean square length is 1 per modality."""
_ALONE = 0.01


@dataclass(frozen=True)
class Head:
    """A fitted head.

    Attributes:
        linear: members, then the head on all labels: (count + 1, D, K).
        logits: (n, K) out-of-fold; what the head itself says where there are no folds.
        penalty: the chosen one.
    """

    linear: Linear
    logits: Tensor
    penalty: float


def fit_head(
    kind: TargetKind, x: Tensor, truth: Tensor, rows: BoolArray, folds: Folds, weight: Tensor
) -> Head:
    """Fit a head with weaker and weaker penalties until one is worse out-of-fold.

    Args:
        kind: of the target.
        x: (n, D) vectors.
        truth: (n, K); rows outside `rows` are not read.
        rows: (n,) which samples have a label and the modality.
        folds: of the n samples.
        weight: (n,) how much each counts.
    """
    if not rows.any():
        nothing = torch.zeros(folds.count + 1, x.shape[1], truth.shape[1])
        return Head(Linear(nothing, nothing[:, 0]), torch.zeros_like(truth), _ALONE)
    path = solver.Path(kind, x, truth, folds.shares(rows) * weight)
    best: Head | None = None
    lowest = float("inf")
    for penalty in PENALTIES if folds.count else (_ALONE,):
        linear = path.fit(penalty)
        logits = folds.own(linear(x))
        loss = float(solver.loss(kind, logits[rows], truth[rows]).mean())
        if best is not None and loss >= lowest:
            break
        best, lowest = Head(linear, logits, penalty), loss
    assert best is not None
    return best
