"""Uniformly random order: the baseline that every strategy has to beat."""

from __future__ import annotations

import numpy as np

from strategies.pool import Pool
from strategies.ranking import Candidates, Scores
from strategies.strategy import Strategy


def score(pool: Pool, candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Score each task with a uniform random number."""
    return Scores(rng.random(pool.size))


RANDOM = Strategy(
    name="random",
    score=score,
    needs=frozenset(),
    paper="-",
    summary="Uniformly random order.",
)
