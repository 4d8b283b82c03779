"""GRACE-I: informativeness alone (ablation, Li et al., ACM MM 2024)."""

from __future__ import annotations

import numpy as np

from strategies.grace import informativeness, rescale
from strategies.pool import Need, Pool, Selection
from strategies.ranking import Candidates, by_score
from strategies.strategy import EVERY_TARGET, Strategy


def select(
    pool: Pool,
    n: int,
    rng: np.random.Generator,
    candidates: Candidates,
    *,
    device: str | None = None,
) -> Selection:
    """Rank by s_i, the length of the gradients (GRACE Eq. 4), scaled to [0, 1]."""
    scores = rescale(informativeness(pool, device), candidates)
    return by_score(scores, candidates, {"informativeness": scores})


STRATEGY = Strategy(
    name="grace_i",
    select=select,
    needs=frozenset({Need.GRADIENTS}),
    targets=EVERY_TARGET,
    paper="Li et al., ACM MM 2024 (ablation)",
    summary="GRACE's informativeness alone: longest gradients first.",
)
