"""Linear heads fitted to convergence: many problems on the same vectors at once.

Each problem minimises, over W (D, K) and b (K,),

    sum_i s_i loss(W^T x_i + b + b_0, y_i) + penalty/2 |W|^2 + 1/2 |b|^2

which is convex. b_0 is the logit of the smoothed share of each class among the problem's own
samples, so that a class nobody has seen has a small probability instead of none.

In the basis of the samples' own principal directions the Hessian is near a diagonal one; L-BFGS on
variables scaled by it needs some twenty steps where it needs hundreds on the vectors as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.vectors.descent import minimise
from strategies.pool import TargetKind

_STEPS = 60
_TOLERANCE = 1e-4
_HUBER = 0.1
_CURVATURE = {
    TargetKind.CLASSIFICATION: 0.2,
    TargetKind.MULTILABEL: 0.2,
    TargetKind.REGRESSION: 1.0,
}


@dataclass(frozen=True)
class Linear:
    """Linear functions x -> x W + b of P problems.

    Attributes:
        weight: (P, D, K).
        bias: (P, K).
    """

    weight: Tensor
    bias: Tensor

    def take(self, problems: Tensor) -> Linear:
        """Return some of the problems."""
        return Linear(self.weight[problems], self.bias[problems])

    def __call__(self, x: Tensor) -> Tensor:
        """Return (P, n, K) of x (n, D)."""
        return torch.matmul(x, self.weight) + self.bias[:, None]


def loss(kind: TargetKind, logits: Tensor, truth: Tensor) -> Tensor:
    """Return (..., n) losses of logits (..., n, K) against truth (n, K).

    Cross-entropy, the sum of sigmoid cross-entropies, or Huber's loss near L1.
    """
    if kind is TargetKind.CLASSIFICATION:
        return logits.logsumexp(dim=-1) - (logits * truth).sum(dim=-1)
    if kind is TargetKind.MULTILABEL:
        return (torch.nn.functional.softplus(logits) - logits * truth).sum(dim=-1)
    gap = (logits - truth).abs()
    small = gap.clamp(max=_HUBER)
    return (small * (gap - small / 2) / _HUBER).sum(dim=-1)


def residual(kind: TargetKind, logits: Tensor, truth: Tensor) -> Tensor:
    """Return the gradient of `loss` at the logits."""
    if kind is TargetKind.CLASSIFICATION:
        return logits.softmax(dim=-1) - truth
    if kind is TargetKind.MULTILABEL:
        return logits.sigmoid() - truth
    return ((logits - truth) / _HUBER).clamp(-1, 1)


def base(kind: TargetKind, truth: Tensor, shares: Tensor) -> Tensor:
    """Return (P, K) b_0 of truth (n, K) weighted by shares (P, n)."""
    total, counts = shares.sum(dim=1, keepdim=True), shares @ truth
    if kind is TargetKind.CLASSIFICATION:
        return ((counts + 0.5) / (total + 0.5 * truth.shape[1])).log()
    if kind is TargetKind.MULTILABEL:
        return ((counts + 0.5) / (total + 1)).logit()
    return counts / total.clamp(min=1e-6)


class Path:
    """P problems on the same samples, solved for one penalty after the other.

    Args:
        kind: decides the loss.
        x: (n, D) vectors.
        truth: (n, K) class shares, 0 or 1 per label, or (n, 1) numbers.
        shares: (P, n) weight s_i of each sample in each problem, 0 for held back.
    """

    def __init__(self, kind: TargetKind, x: Tensor, truth: Tensor, shares: Tensor) -> None:
        seen = (shares > 0).any(dim=0)
        self.kind, self.truth, self.shares = kind, truth[seen], shares[:, seen].T
        z, self.back = _rotated(x[seen])
        self.z = torch.cat([z, torch.ones(len(z), 1)], dim=1)
        self.base = base(kind, self.truth, self.shares.T)
        self.curvature = _CURVATURE[kind] * self.z.square().T @ self.shares
        self.weights = torch.zeros(self.z.shape[1], len(shares), truth.shape[1])

    def fit(self, penalty: float) -> Linear:
        """Solve with a penalty, from where the last one ended."""
        ridge = torch.full((len(self.weights), 1), penalty)
        ridge[-1] = 1.0  # the bias is drawn to b_0 as by one sample
        step = (self.curvature + ridge).rsqrt()[..., None]
        held, target = self.shares[..., None], self.truth[:, None]

        def objective(u: Tensor) -> tuple[Tensor, Tensor]:
            weights = u * step  # (r + 1, P, K): all problems in one product
            logits = (self.z @ weights.flatten(1)).unflatten(1, weights.shape[1:]) + self.base
            value = (held[..., 0] * loss(self.kind, logits, target)).sum(dim=0)
            value = value + (ridge[..., None] * weights.square()).sum(dim=(0, 2)) / 2
            slope = (residual(self.kind, logits, target) * held).flatten(1)
            gradient = (self.z.T @ slope).unflatten(1, weights.shape[1:])
            return value, (gradient + ridge[..., None] * weights) * step

        u = minimise(objective, self.weights / step, steps=_STEPS, tolerance=_TOLERANCE)
        self.weights = u * step
        weights = self.weights.transpose(0, 1)
        return Linear(self.back @ weights[:, :-1], weights[:, -1] + self.base)


def _rotated(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return samples in their own principal basis (n, r), and its directions (D, r)."""
    few = len(x) < x.shape[1]
    gram = (x @ x.T if few else x.T @ x).double()
    values, vectors = torch.linalg.eigh(gram)
    kept = values > values[-1].clamp(min=1e-30) * 1e-9
    values, vectors = values[kept], vectors[:, kept]
    if few:
        z = vectors * values.sqrt()
        return z.float(), (x.T.double() @ vectors / values.sqrt()).float()
    return x @ vectors.float(), vectors.float()
