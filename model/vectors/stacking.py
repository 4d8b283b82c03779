"""Joining heads: a weighted sum of their logits, the weights chosen out-of-fold.

One weight alone is a temperature: below 1 it makes a head that is too sure of itself humbler. With
several, a sum of logits multiplies what the heads think, and a head that only adds noise gets
nearly 0.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from model.vectors import solver
from model.vectors.descent import minimise
from model.vectors.folds import Folds
from strategies.pool import BoolArray, TargetKind

_STEPS, _TOLERANCE = 60, 1e-6
_FIRST, _OTHERS, _LEAST = 1.0, 0.05, 0.02


def stack(kind: TargetKind, logits: Tensor, truth: Tensor, rows: BoolArray, folds: Folds) -> Tensor:
    """Return (count + 1, J) positive weights of J heads, near 1 for the first, 0 for the others.

    They minimise the loss of the weighted sum and half the squared distance to (1, 0, ..., 0): as
    strong as a label or two, so that the first head prevails while there are few.

    Args:
        kind: of the target.
        logits: (J, n, K) out-of-fold.
        truth: (n, K).
        rows: (n,) which samples have a label.
        folds: a member's weights are chosen without its own fold, so that what it says about that
            fold stays out-of-fold.
    """
    prior = torch.eye(len(logits))[0][:, None]
    shares = folds.shares(rows).T  # (n, P)
    if not folds.count or not rows.any():
        return prior.T.repeat(shares.shape[1], 1)
    start = torch.tensor([_FIRST, *[_OTHERS] * (len(logits) - 1)]).expm1().log()[:, None]
    least = _LEAST * prior  # a few unlucky labels must not silence the first
    scale = shares.sum(dim=0).clamp(min=1).rsqrt()

    def objective(u: Tensor) -> tuple[Tensor, Tensor]:
        raw = start + u[..., 0] * scale  # (J, P)
        weights = softplus(raw) + least
        mixed = torch.einsum("jp,jnk->npk", weights, logits)
        far = weights - prior
        value = (shares * solver.loss(kind, mixed, truth[:, None])).sum(dim=0)
        residual = solver.residual(kind, mixed, truth[:, None]) * shares[..., None]
        slope = torch.einsum("npk,jnk->jp", residual, logits) + far
        return value + far.square().sum(dim=0) / 2, (slope * raw.sigmoid() * scale)[..., None]

    u = torch.zeros(len(logits), shares.shape[1], 1)
    u = minimise(objective, u, steps=_STEPS, tolerance=_TOLERANCE)
    return (softplus(start + u[..., 0] * scale) + least).T
