"""A pool's features as one matrix: the modalities side by side, absent ones zero."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from strategies.factors import Dense, WeightedBlocks
from strategies.gradients import OuterProducts
from strategies.pool import FloatArray, Pool
from strategies.ranking import Candidates


def pool_features(pool: Pool, device: str | None = None) -> WeightedBlocks:
    """Return [z_1 ; ... ; z_M] of the pool's tasks: N x sum D_m, read in chunks."""
    assert pool.features is not None
    return side_by_side(pool.features, pool.modalities, device)


def labelled_features(pool: Pool, device: str | None = None) -> WeightedBlocks | None:
    """Return the same of the labelled tasks, or None if there are none."""
    features = pool.labelled_features
    if not features or len(features[pool.modalities[0]]) == 0:
        return None
    return side_by_side(features, pool.modalities, device)


def side_by_side(
    features: Mapping[str, FloatArray], modalities: tuple[str, ...], device: str | None = None
) -> WeightedBlocks:
    """Return the modalities' features in column order as one factor."""
    return WeightedBlocks([Dense(features[name], device) for name in modalities])


def as_embeddings(features: WeightedBlocks | torch.Tensor) -> OuterProducts:
    """View plain points x_i as 1 (x) x_i, so that distances come from one tested place."""
    ones = torch.ones((features.shape[0], 1), dtype=features.dtype, device=features.device)
    return OuterProducts(ones, features)


def distances_to_labelled(
    points: OuterProducts, labelled: WeightedBlocks | None, candidates: Candidates
) -> torch.Tensor:
    """Return each row's squared distance to the nearest labelled task: (N,), inf if none is.

    Labelled tasks are those of `labelled` and the pool's own labelled rows.
    """
    nearest = torch.full((points.size,), torch.inf, dtype=torch.float64, device=points.device)
    sources = [(points, torch.from_numpy(candidates.labelled).to(points.device))]
    if labelled is not None:
        others = as_embeddings(labelled)
        sources.append((others, torch.arange(others.size, device=points.device)))
    for source, rows in sources:
        for some in torch.split(rows, 1024):
            points.shrink(nearest, source.centres(some))
    return nearest
