"""GRACE-IR: GRACE without the curriculum, s = s_i s_r (ablation, Li et al., ACM MM 2024)."""

from __future__ import annotations

import numpy as np

from strategies.grace import EXACT_LIMIT, REFERENCE_SIZE, worth
from strategies.pool import Need, Pool, Selection
from strategies.ranking import Candidates, by_score
from strategies.strategy import EVERY_TARGET, Strategy


def select(
    pool: Pool,
    n: int,
    rng: np.random.Generator,
    candidates: Candidates,
    *,
    exact_limit: int = EXACT_LIMIT,
    reference_size: int = REFERENCE_SIZE,
    device: str | None = None,
) -> Selection:
    """Rank by informativeness times representativeness, each scaled to [0, 1]."""
    components, notes = worth(pool, rng, candidates, exact_limit, reference_size, device)
    scores = components["informativeness"] * components["representativeness"]
    return by_score(scores, candidates, components, notes)


STRATEGY = Strategy(
    name="grace_ir",
    select=select,
    needs=frozenset({Need.GRADIENTS}),
    targets=EVERY_TARGET,
    paper="Li et al., ACM MM 2024 (ablation)",
    summary="GRACE without easiness: informative and representative tasks first.",
)
