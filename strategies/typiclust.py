"""TypiClust: the most typical task of each cluster, for the first batch (Hacohen et al. 2022)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch

from strategies.clusters import assign, k_means, rank_within
from strategies.factors import WeightedBlocks
from strategies.features import labelled_features, pool_features, unit_length
from strategies.pool import IntArray, Need, Pool, Selection
from strategies.ranking import Candidates, Values
from strategies.strategy import Strategy

# Smaller clusters come last: their members are outliers rather than typical (published code).
SMALL_CLUSTER = 5
# A larger cluster's density is measured against a random sample of this many members.
DENSITY_SAMPLE = 4096


def build_batch(
    pool: Pool,
    n: int,
    candidates: Candidates,
    rng: np.random.Generator,
    *,
    neighbours: Annotated[int, "tasks that density is measured by"] = 20,
    max_clusters: Annotated[int, "most clusters"] = 500,
) -> Selection:
    """Cluster into labelled + n clusters; take the most typical of each, largest first.

    Typicality is 1 / (1 + mean distance to the `neighbours` nearest in the cluster). The r-th
    most typical task of a cluster with c labelled tasks comes in round r + c, so that covered
    clusters wait until the others have caught up.

    Note: each modality's features are scaled to length 1, so that none outweighs the others.
    Labelled tasks outside the pool are assigned to the clusters, not clustered. The 1 + keeps
    exact duplicates finite.
    """
    if neighbours < 1 or max_clusters < 1:
        raise ValueError("neighbours and max_clusters must be at least 1.")
    features, labelled = unit_length(pool_features(pool)), labelled_features(pool)
    outside = 0 if labelled is None else labelled.shape[0]
    wanted = min(n + len(candidates.labelled) + outside, max_clusters)
    means = k_means(features, wanted, rng)
    clusters = assign(means, features)
    sizes = np.bincount(clusters, minlength=wanted)
    covered = np.bincount(clusters[candidates.labelled], minlength=wanted)
    if labelled is not None:
        covered += np.bincount(assign(means, unit_length(labelled)), minlength=wanted)
    typicality = _typicality(features, clusters, neighbours, rng)
    turn = covered[clusters] + rank_within(clusters, typicality, candidates)
    rows = candidates.rows
    order = rows[
        np.lexsort(
            (
                rows,
                clusters[rows],
                -sizes[clusters[rows]],
                turn[rows],
                sizes[clusters[rows]] < SMALL_CLUSTER,
            )
        )
    ]
    components = {"typicality": typicality, "cluster": clusters.astype(np.float64)}
    return Selection(order, typicality, components, {"clusters": int((sizes > 0).sum())})


def _typicality(
    features: WeightedBlocks, clusters: IntArray, neighbours: int, rng: np.random.Generator
) -> Values:
    """Return 1 / (1 + mean distance to the nearest others in the cluster): (N,).

    A cluster of one has nobody to be typical of: 0.
    """
    typicality = np.zeros(len(clusters))
    by_cluster = np.split(
        np.argsort(clusters, kind="stable"), np.cumsum(np.bincount(clusters))[:-1]
    )
    for members in by_cluster:
        if len(members) < 2:
            continue
        sample = members
        if len(members) > DENSITY_SAMPLE:
            sample = np.sort(rng.choice(members, DENSITY_SAMPLE, replace=False))
        others = features.rows(torch.from_numpy(sample), torch.float64).cpu()
        for some in np.array_split(members, -(-len(members) // DENSITY_SAMPLE)):
            points = features.rows(torch.from_numpy(some), torch.float64).cpu()
            distances = torch.cdist(points, others)
            distances[torch.from_numpy(some[:, None] == sample[None, :])] = torch.inf
            nearest = distances.topk(min(neighbours, len(sample) - 1), largest=False).values
            typicality[some] = 1 / (1 + nearest.mean(dim=1).numpy())
    return typicality


TYPICLUST = Strategy(
    name="typiclust",
    build_batch=build_batch,
    needs=frozenset({Need.FEATURES, Need.LABELLED_FEATURES}),
    paper="Hacohen et al., ICML 2022",
    summary="The most typical task of each cluster: a first batch when nothing is labelled.",
)
