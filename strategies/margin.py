"""Smallest gap between the two best answers first (Scheffer et al. 2001)."""

from __future__ import annotations

import numpy as np

from strategies.pool import Need, Pool, Selection
from strategies.ranking import Candidates, by_score
from strategies.strategy import CLASSES, Strategy
from strategies.uncertainty import pool_margin


def select(pool: Pool, n: int, rng: np.random.Generator, candidates: Candidates) -> Selection:
    """Score each task with 1 - (p_(1) - p_(2))."""
    gap = pool_margin(pool)
    return by_score(1 - gap, candidates, {"margin": gap})


STRATEGY = Strategy(
    name="margin",
    select=select,
    needs=frozenset({Need.PROBABILITIES}),
    targets=CLASSES,
    paper="Scheffer et al. 2001",
    summary="Smallest gap between the two most probable classes first.",
)
