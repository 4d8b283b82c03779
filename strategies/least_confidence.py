"""Least probable best answer first (Lewis and Gale 1994)."""

from __future__ import annotations

import numpy as np

from strategies.pool import Need, Pool, Selection
from strategies.ranking import Candidates, by_score
from strategies.strategy import CLASSES, Strategy
from strategies.uncertainty import pool_confidence


def select(pool: Pool, n: int, rng: np.random.Generator, candidates: Candidates) -> Selection:
    """Score each task with 1 - max p."""
    confidence = pool_confidence(pool)
    return by_score(1 - confidence, candidates, {"confidence": confidence})


STRATEGY = Strategy(
    name="least_confidence",
    select=select,
    needs=frozenset({Need.PROBABILITIES}),
    targets=CLASSES,
    paper="Lewis and Gale 1994",
    summary="Lowest probability of the predicted class first.",
)
