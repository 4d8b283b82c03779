"""A pool's features as one matrix: what the last layer reads."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from strategies.factors import Dense, WeightedBlocks
from strategies.gradients import OuterProducts
from strategies.pool import FloatArray, Pool
from strategies.ranking import Candidates
from strategies.rows import chunks


def pool_features(pool: Pool, device: str | None = None) -> WeightedBlocks:
    """Return what the multimodal head reads of the pool's tasks: N x D, in chunks.

    That is [z_1 ; ... ; z_M], absent modalities zero, unless the fusion makes another vector of
    them (`fused_features`).
    """
    if pool.fused_features is not None:
        return WeightedBlocks([Dense(pool.fused_features, device)])
    assert pool.features is not None
    return side_by_side(pool.features, pool.modalities, device)


def labelled_features(pool: Pool, device: str | None = None) -> WeightedBlocks | None:
    """Return the same of the labelled tasks, or None if there are none."""
    if pool.fused_features is not None:
        fused = pool.labelled_fused_features
        return WeightedBlocks([Dense(fused, device)]) if fused is not None and len(fused) else None
    features = pool.labelled_features
    if not features or len(features[pool.modalities[0]]) == 0:
        return None
    return side_by_side(features, pool.modalities, device)


def side_by_side(
    features: Mapping[str, FloatArray], modalities: tuple[str, ...], device: str | None = None
) -> WeightedBlocks:
    """Return the modalities' features in column order as one factor."""
    return WeightedBlocks([Dense(features[name], device) for name in modalities])


def unit_length(features: WeightedBlocks, *, whole: bool = False) -> WeightedBlocks:
    """Scale each modality's rows to length 1, so that none outweighs another; zero rows stay.

    With `whole` the rows as a whole have length 1, too.
    """
    lengths = torch.stack(
        [
            torch.cat([block.squared_norms(part).sqrt() for part in chunks(*block.shape)])
            for block in features.blocks
        ],
        dim=1,
    )
    scale = torch.where(lengths > 0, 1 / lengths, 0.0)
    if whole:
        scale = scale / (lengths > 0).sum(dim=1, keepdim=True).clamp(min=1).sqrt()
    return WeightedBlocks(features.blocks, scale)


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
