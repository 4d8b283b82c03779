"""Several questions about the same tasks: each is a pool of its own, and their scores are averaged.

A question that is answered with a number has no probabilities, so that it is left out where another
one has; where all are numbers, each counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from strategies.pool import Pool, TargetKind

Values = npt.NDArray[np.float64]


def questions(pool: Pool) -> list[Pool]:
    """Return each question as a pool of its own; the pool itself where there is only one."""
    if not pool.further:
        return [pool]
    parts = [replace(pool, further=())]
    for one in pool.further:
        parts.append(
            replace(
                pool,
                further=(),
                target=one.target,
                probabilities=one.probabilities,
                mc_probabilities=one.mc_probabilities,
                linear_head=one.linear_head,
                held_out=one.held_out,
            )
        )
    return [part for part in parts if part.target is not TargetKind.REGRESSION] or parts


def mean_of(
    pool: Pool, score: Callable[[Pool], Values], largest: Callable[[Pool], float] | None = None
) -> Values:
    """Return the mean over questions of what each scores: (N,).

    Args:
        pool: the pool; with one question its score is returned as it is.
        score: a question's pool -> (N,).
        largest: a question's pool -> what its score is divided by before, so that a question with
            many classes does not outweigh the others; None: scores are in [0, 1] already.
    """
    parts = questions(pool)
    if len(parts) == 1:
        return score(parts[0])
    scaled = [score(one) / (largest(one) if largest is not None else 1.0) for one in parts]
    mean: Values = np.mean(scaled, axis=0)
    return mean


def most_entropy(pool: Pool) -> float:
    """Return the largest entropy that a prediction can have, in nats: log K, or K log 2."""
    assert pool.probabilities is not None or pool.mc_probabilities is not None
    values = pool.probabilities if pool.probabilities is not None else pool.mc_probabilities
    assert values is not None
    classes = values.shape[-1]
    if pool.target is TargetKind.MULTILABEL:
        return float(classes * np.log(2))
    return float(np.log(max(2, classes)))
