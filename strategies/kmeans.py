"""k-means: the task nearest to each of n centres, a baseline of BMMAL's paper."""

from __future__ import annotations

import numpy as np
import torch

from strategies.clusters import assign, k_means, rank_within
from strategies.features import pool_features
from strategies.pool import Need, Pool, Selection
from strategies.ranking import Candidates
from strategies.rows import chunks
from strategies.strategy import Strategy


def build_batch(pool: Pool, n: int, candidates: Candidates, rng: np.random.Generator) -> Selection:
    """Cluster the candidates into n and take the nearest to each centre, largest clusters first.

    Then come the second nearest of each cluster, and so on. What is labelled has no say.

    Note: the published code takes two of each cluster (n // clusters + 1) and the first n of these,
    so that half of its clusters have no task in the batch.
    """
    features = pool_features(pool)
    means = k_means(features, n, rng, among=candidates.rows)
    clusters = assign(means, features)
    centres = torch.from_numpy(means.cluster_centers_)
    distance = np.empty(pool.size)
    for part in chunks(*features.shape):
        points = features.rows(part, torch.float32).cpu()
        own = centres[torch.from_numpy(clusters[part])]
        distance[part] = (points - own).double().norm(dim=1).numpy()
    scores = 1 / (1 + distance)
    rows = candidates.rows
    sizes = np.bincount(clusters[rows], minlength=len(centres))
    turn = rank_within(clusters, scores, candidates)
    order = rows[np.lexsort((rows, clusters[rows], -sizes[clusters[rows]], turn[rows]))]
    components = {"distance": distance, "cluster": clusters.astype(np.float64)}
    return Selection(order, scores, components, {"clusters": int((sizes > 0).sum())})


KMEANS = Strategy(
    name="kmeans",
    build_batch=build_batch,
    needs=frozenset({Need.FEATURES}),
    paper="a baseline of Shen et al., ACM MM 2023",
    summary="The task nearest to each k-means centre of what is not labelled.",
)
