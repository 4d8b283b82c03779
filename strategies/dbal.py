"""DBAL: diverse mini-batches by weighted k-means (Zhdanov 2019)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch

from strategies.bald import disagreement
from strategies.clusters import weighted_k_means
from strategies.features import pool_features
from strategies.pool import FloatArray, IntArray, Need, Pool, Selection, TargetKind
from strategies.ranking import Candidates, Values, batch_first, descending
from strategies.strategy import Strategy
from strategies.uncertainty import pool_margin

# Bounds the distances held at once to this many rows of beta n.
CENTRES_AT_ONCE = 256


def build_batch(
    pool: Pool,
    n: int,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    beta: Annotated[int, "the pre-filter keeps beta n tasks"] = 10,
) -> Selection:
    """Keep the beta n least certain tasks, cluster them into n, take the one nearest each centre.

    The informativeness weights the k-means: 1 - margin, or for regression the variance of the
    predictions over stochastic passes. The batch is in order of it, then comes every other
    candidate, likewise.

    Note: the paper has classes only; GRACE compares with DBAL on a regression without saying how.

    Args:
        pool: with probabilities and features.
        n: size of the batch.
        candidates: rows to choose from.
        rng: seeds the k-means.
        beta: how many times n the pre-filter keeps (the paper's beta).
    """
    if beta < 1:
        raise ValueError(f"beta must be at least 1, not {beta}.")
    informativeness, components = _informativeness(pool)
    kept = descending(informativeness, candidates.rows)[: beta * n]
    features = pool_features(pool).rows(torch.from_numpy(kept), torch.float32).cpu()
    batch = kept[_nearest_to_centres(features, n, informativeness[kept], rng)]
    return batch_first(
        descending(informativeness, np.sort(batch)),
        informativeness,
        informativeness,
        candidates,
        components,
        {"prefiltered": len(kept)},
    )


def _informativeness(pool: Pool) -> tuple[Values, dict[str, FloatArray]]:
    if pool.target is TargetKind.REGRESSION:
        variance = disagreement(pool)["variance"]
        return variance, {"variance": variance}
    gap = pool_margin(pool)
    return 1 - gap, {"margin": gap}


def _nearest_to_centres(
    features: torch.Tensor, n: int, weights: Values, rng: np.random.Generator
) -> IntArray:
    """Return n distinct rows of (F, D): per centre the nearest row that is still free."""
    if len(features) <= n:
        return np.arange(len(features), dtype=np.int64)
    centres = weighted_k_means(features, n, weights, rng)
    free = torch.ones(len(features), dtype=torch.bool)
    chosen: list[int] = []
    for some in torch.split(centres, CENTRES_AT_ONCE):
        for distances in torch.cdist(some, features):
            row = int(torch.where(free, distances, torch.inf).argmin())
            free[row] = False
            chosen.append(row)
    return np.asarray(chosen, dtype=np.int64)


DBAL = Strategy(
    name="dbal",
    build_batch=build_batch,
    needs=frozenset({Need.PROBABILITIES, Need.FEATURES}),
    needs_by_target={
        TargetKind.REGRESSION: frozenset({Need.MC_PROBABILITIES, Need.FEATURES}),
    },
    paper="Zhdanov 2019",
    summary="The least certain tasks, thinned by weighted k-means.",
)
