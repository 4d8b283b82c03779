"""Most entropy first: the whole distribution counts (Shannon 1948; Settles 2009)."""

from __future__ import annotations

import numpy as np

from strategies.pool import Need, Pool, Selection
from strategies.ranking import Candidates, by_score
from strategies.strategy import CLASSES, Strategy
from strategies.uncertainty import pool_entropy


def select(pool: Pool, n: int, rng: np.random.Generator, candidates: Candidates) -> Selection:
    """Score each task with the entropy of its prediction."""
    scores = pool_entropy(pool)
    return by_score(scores, candidates, {"entropy": scores})


STRATEGY = Strategy(
    name="entropy",
    select=select,
    needs=frozenset({Need.PROBABILITIES}),
    targets=CLASSES,
    paper="Shannon 1948; Settles 2009",
    summary="Highest predictive entropy first.",
)
