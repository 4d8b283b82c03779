"""Joining heads: a weighted sum of their logits, the weights chosen out-of-fold.

One weight alone is a temperature: below 1 it makes a head that is too sure of itself humbler. With
several, a sum of logits multiplies what the heads think, and a head that only adds noise gets 0.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from model.vectors import solver
from model.vectors.folds import Folds
from strategies.pool import BoolArray, FloatArray, TargetKind

_PRIOR = 1.0
_LEAST = 0.02


def stack(kind: TargetKind, logits: Tensor, truth: Tensor, rows: BoolArray, folds: Folds) -> Tensor:
    """Return (count + 1, J) weights >= 0 of J heads, near 1 for the first and 0 for the others.

    Args:
        kind: of the target.
        logits: (J, n, K) out-of-fold.
        truth: (n, K).
        rows: (n,) which samples have a label.
        folds: a member's weights are chosen without its own fold, so that what it says about that
            fold stays out-of-fold.
    """
    if not folds.count or not rows.any():
        return torch.eye(len(logits))[:1].repeat(folds.count + 1, 1)
    shares = folds.shares(rows) > 0
    return torch.stack([_weights(kind, logits[:, s], truth[s]) for s in shares])


def _weights(kind: TargetKind, logits: Tensor, truth: Tensor) -> Tensor:
    from scipy.optimize import minimize

    logits, truth = logits.double(), truth.double()
    prior = np.zeros(len(logits))
    prior[0] = 1.0

    def objective(weights: FloatArray) -> tuple[float, FloatArray]:
        mixed = torch.tensordot(torch.from_numpy(weights), logits, dims=1)
        value = float(solver.loss(kind, mixed, truth).sum())
        slope = (logits * solver.residual(kind, mixed, truth)).sum(dim=(1, 2)).numpy()
        far = weights - prior
        return value + _PRIOR * float(far @ far) / 2, slope + _PRIOR * far

    # The first is never left out: the order of the classes must survive a few unlucky labels.
    bounds = [(_LEAST, None), *[(0.0, None)] * (len(prior) - 1)]
    found = minimize(objective, prior, jac=True, method="L-BFGS-B", bounds=bounds)
    return torch.from_numpy(found.x).float()
