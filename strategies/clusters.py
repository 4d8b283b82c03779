"""k-means of scikit-learn on a pool's features."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from strategies.factors import Factor
from strategies.pool import IntArray
from strategies.ranking import Values
from strategies.rows import chunks

if TYPE_CHECKING:  # scikit-learn takes a second or two to load: only what clusters waits for it.
    from sklearn.cluster import KMeans, MiniBatchKMeans

# Above this many rows centres are found on a uniform sample, in mini-batches.
SAMPLE = 20_000
FEW_CLUSTERS = 50


def weighted_k_means(
    features: torch.Tensor, count: int, weights: Values, rng: np.random.Generator
) -> torch.Tensor:
    """Return the k-means centres (count, D) of weighted rows (F, D).

    When all weights are 0 every row counts the same. Fewer distinct rows than centres give
    repeated centres.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if not weights.any():
        weights = np.ones(len(features))
    means = KMeans(count, n_init=1, random_state=_seed(rng))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # Duplicates are no news to a caller.
        means.fit(features.numpy(), sample_weight=weights)
    return torch.from_numpy(means.cluster_centers_)


def k_means(features: Factor, count: int, rng: np.random.Generator) -> KMeans | MiniBatchKMeans:
    """Fit k-means with at most `count` clusters to (N, D) features.

    Memory: the rows up to SAMPLE, above it a uniform sample of that many.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    size = features.shape[0]
    rows: IntArray = np.arange(size, dtype=np.int64)
    if size > SAMPLE:
        rows = np.sort(rng.choice(size, min(size, max(SAMPLE, 4 * count)), replace=False))
    kind = KMeans if count <= FEW_CLUSTERS else MiniBatchKMeans
    means = kind(min(count, len(rows)), n_init=1, random_state=_seed(rng))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return means.fit(features.rows(torch.from_numpy(rows), torch.float32).cpu().numpy())


def assign(means: KMeans | MiniBatchKMeans, features: Factor) -> IntArray:
    """Return the cluster of each of N rows: (N,), read in chunks."""
    labels: IntArray = np.concatenate(
        [
            means.predict(features.rows(part, torch.float32).cpu().numpy())
            for part in chunks(features.shape[0], features.shape[1])
        ]
    ).astype(np.int64)
    return labels


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
