"""The least certain task first: entropy, margin and least confidence (Settles 2009).

Multi-label targets are K independent yes/no questions: entropy is summed over them, margin and
confidence are averaged. Several questions about a task are averaged, too: entropies as shares of
the largest possible one.
"""

from __future__ import annotations

import numpy as np

from strategies.pool import FloatArray, Need, Pool, TargetKind
from strategies.questions import mean_of, most_entropy
from strategies.ranking import Candidates, Scores, Values
from strategies.rows import map_rows
from strategies.strategy import Strategy


def pool_entropy(pool: Pool) -> Values:
    """Return the entropy of each task's prediction in nats: (N,); in [0, 1] of several ones."""

    def of(one: Pool) -> Values:
        return map_rows(lambda p: entropy(p, one.target), probabilities(one))

    return mean_of(pool, of, most_entropy)


def pool_margin(pool: Pool) -> Values:
    """Return the gap between the two most probable answers: (N,)."""

    def of(one: Pool) -> Values:
        return map_rows(lambda p: margin(p, one.target), probabilities(one))

    return mean_of(pool, of)


def pool_confidence(pool: Pool) -> Values:
    """Return the probability of the most probable answer: (N,)."""

    def of(one: Pool) -> Values:
        return map_rows(lambda p: confidence(p, one.target), probabilities(one))

    return mean_of(pool, of)


def probabilities(pool: Pool) -> FloatArray:
    """Return pool.probabilities, which the boundary has checked."""
    assert pool.probabilities is not None
    return pool.probabilities


def entropy(p: Values, target: TargetKind) -> Values:
    """Return -sum p log p over the last axis (binary entropies if multi-label), 0 log 0 = 0."""
    from scipy.special import xlogy  # here, because loading SciPy takes a while

    p = np.clip(p, 0, 1)
    total = xlogy(p, p)
    if target is TargetKind.MULTILABEL:
        total = total + xlogy(1 - p, 1 - p)
    # 0 - x rather than -x: no negative zero for a certain prediction.
    result: Values = 0.0 - total.sum(axis=-1)
    return result


def margin(p: Values, target: TargetKind) -> Values:
    """Return p_(1) - p_(2) over the last axis; multi-label: the mean of |2p - 1|.

    A single class has no rival: its margin is 1.
    """
    result: Values
    if target is TargetKind.MULTILABEL:
        result = np.abs(2 * p - 1).mean(axis=-1)
    elif p.shape[-1] == 1:
        result = np.ones(p.shape[:-1])
    else:
        top = np.partition(p, -2, axis=-1)
        result = top[..., -1] - top[..., -2]
    return result


def confidence(p: Values, target: TargetKind) -> Values:
    """Return max p over the last axis; multi-label: the mean of max(p, 1 - p)."""
    result: Values
    if target is TargetKind.MULTILABEL:
        result = np.maximum(p, 1 - p).mean(axis=-1)
    else:
        result = p.max(axis=-1)
    return result


def _least_confidence(pool: Pool, candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Score each task with 1 - max p (Lewis and Gale 1994)."""
    found = pool_confidence(pool)
    return Scores(1 - found, {"confidence": found})


def _margin(pool: Pool, candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Score each task with 1 - (p_(1) - p_(2)) (Scheffer et al. 2001)."""
    gap = pool_margin(pool)
    return Scores(1 - gap, {"margin": gap})


def _entropy(pool: Pool, candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Score each task with the entropy of its prediction (Shannon 1948)."""
    found = pool_entropy(pool)
    return Scores(found, {"entropy": found})


LEAST_CONFIDENCE = Strategy(
    name="least_confidence",
    score=_least_confidence,
    needs=frozenset({Need.PROBABILITIES}),
    paper="Lewis and Gale 1994",
    summary="Lowest probability of the predicted class first.",
)

MARGIN = Strategy(
    name="margin",
    score=_margin,
    needs=frozenset({Need.PROBABILITIES}),
    paper="Scheffer et al. 2001",
    summary="Smallest gap between the two most probable classes first.",
)

ENTROPY = Strategy(
    name="entropy",
    score=_entropy,
    needs=frozenset({Need.PROBABILITIES}),
    paper="Shannon 1948; Settles 2009",
    summary="Highest predictive entropy first.",
)
