"""Uniformly random order: the baseline that every strategy has to beat."""

from __future__ import annotations

import numpy as np

from strategies.pool import Pool, Selection
from strategies.ranking import Candidates, by_score
from strategies.strategy import EVERY_TARGET, Strategy


def select(pool: Pool, n: int, rng: np.random.Generator, candidates: Candidates) -> Selection:
    """Score each task with a uniform random number."""
    return by_score(rng.random(pool.size), candidates)


STRATEGY = Strategy(
    name="random",
    select=select,
    needs=frozenset(),
    targets=EVERY_TARGET,
    paper="-",
    summary="Uniformly random order.",
)
