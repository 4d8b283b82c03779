"""Linear heads: as good as a known library, their gradients, and that none disturbs another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from model.vectors import solver
from strategies.pool import TargetKind


@pytest.mark.parametrize("penalty", [1.0, 0.01])
@pytest.mark.parametrize("size", [30, 300])
def test_heads_are_as_good_as_scikit_learns(size: int, penalty: float) -> None:
    rng = np.random.default_rng(size)
    x = (rng.normal(size=(size, 50)) / np.sqrt(50)).astype(np.float32)
    truth = (x @ rng.normal(size=(50, 3)) * 5 + rng.normal(size=(size, 3))).argmax(axis=1)
    goal = torch.eye(3)[truth]
    path = solver.Path(TargetKind.CLASSIFICATION, torch.from_numpy(x), goal, torch.ones(1, size))
    path.fit(10.0)
    found = path.fit(penalty)
    peer = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=5000).fit(x, truth)

    def loss(weight: np.ndarray, bias: np.ndarray) -> float:
        logits = torch.from_numpy(x @ weight + bias)
        value = solver.loss(TargetKind.CLASSIFICATION, logits, goal.double()).sum()
        return float(value) + penalty / 2 * float((weight**2).sum())

    ours = loss(found.weight[0].double().numpy(), found.bias[0].double().numpy())
    best = loss(peer.coef_.T, peer.intercept_)
    assert ours <= best * 1.002 + 0.1  # our bias is drawn a little to the classes' shares


@pytest.mark.parametrize("kind", list(TargetKind))
def test_residuals_are_the_gradients_of_losses(kind: TargetKind) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    truth = torch.rand(7, 3, generator=generator, dtype=torch.float64)
    truth = truth / truth.sum(dim=1, keepdim=True)
    (gradient,) = torch.autograd.grad(solver.loss(kind, logits, truth).sum(), logits)
    assert torch.allclose(gradient, solver.residual(kind, logits, truth).detach())


def test_problems_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(40, 6)).astype(np.float32))
    goal = torch.eye(3)[rng.integers(0, 3, 40)]
    shares = torch.from_numpy(rng.integers(0, 2, (4, 40)).astype(np.float32))
    together = solver.Path(TargetKind.CLASSIFICATION, x, goal, shares).fit(0.1)
    for number in range(4):
        alone = solver.Path(TargetKind.CLASSIFICATION, x, goal, shares[[number]]).fit(0.1)
        assert torch.allclose(together.weight[number], alone.weight[0], atol=0.02)
