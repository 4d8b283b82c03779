"""k-means of scikit-learn on a pool's features, from seeds of our own.

scikit-learn draws one seed at a time, and several trials for each: that takes most of the time
where there are hundreds. Here k-means++ in blocks draws three times as many as are wanted, and the
greedy draw with trials works on these few, weighted by the rows that each stands for (as k-means||,
Bahmani et al. 2012). tests/strategies/test_clustering.py compares what comes of both.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from strategies.factors import Factor
from strategies.features import as_embeddings
from strategies.kmeanspp import seed
from strategies.pool import IntArray
from strategies.ranking import Candidates, Values, descending
from strategies.rows import chunks

if TYPE_CHECKING:  # scikit-learn takes a second or two to load: only what clusters waits for it.
    from sklearn.cluster import KMeans, MiniBatchKMeans

# Above this many rows centres are found on a uniform sample, in mini-batches.
SAMPLE = 20_000
FEW_CLUSTERS = 50
# A row of weight 0 may still be a seed where there are too few others.
LEAST_WEIGHT = 1e-9
# Seeds drawn for each that is wanted, as long as their mutual distances are few.
DRAWN = 3
MOST_DRAWN = 4096


def weighted_k_means(
    features: torch.Tensor, count: int, weights: Values, rng: np.random.Generator
) -> torch.Tensor:
    """Return the k-means centres (count, D) of weighted rows (F, D).

    When all weights are 0 every row counts the same. Fewer distinct rows than centres give
    repeated centres.
    """
    if not weights.any():
        weights = np.ones(len(features))
    means = _fitted(features, count, np.maximum(weights, LEAST_WEIGHT * weights.max()), rng)
    return torch.from_numpy(means.cluster_centers_)


def k_means(
    features: Factor, count: int, rng: np.random.Generator, among: IntArray | None = None
) -> KMeans | MiniBatchKMeans:
    """Fit k-means with at most `count` clusters to (N, D) features, or to those rows `among` them.

    Memory: the rows up to SAMPLE, above it a uniform sample of that many.
    """
    rows: IntArray = np.arange(features.shape[0], dtype=np.int64) if among is None else among
    if len(rows) > SAMPLE:
        sampled = rng.choice(len(rows), min(len(rows), max(SAMPLE, 4 * count)), replace=False)
        rows = rows[np.sort(sampled)]
    points = features.rows(torch.from_numpy(rows), torch.float32).cpu()
    weights = np.ones(len(rows))
    return _fitted(points, min(count, len(rows)), weights, rng, batches=count > FEW_CLUSTERS)


def _fitted(
    points: torch.Tensor,
    count: int,
    weights: Values,
    rng: np.random.Generator,
    *,
    batches: bool = False,
) -> KMeans | MiniBatchKMeans:
    """Seed `count` centres among weighted rows (F, D) and let k-means move them."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    seeds = _seeds(points, count, weights, rng)
    kind = MiniBatchKMeans if batches else KMeans
    means = kind(count, init=points[seeds].numpy(), n_init=1, random_state=_number(rng))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # Duplicates are no news to a caller.
        return means.fit(points.numpy(), sample_weight=weights)


def _seeds(points: torch.Tensor, count: int, weights: Values, rng: np.random.Generator) -> IntArray:
    """Return `count` rows of (F, D) to start from."""
    # At random by weight: the longest row, where gradients start, is an outlier among features.
    first = int(rng.choice(len(points), p=weights / weights.sum()))
    wanted = min(DRAWN * count, len(points))
    wanted = count if wanted > MOST_DRAWN else wanted
    drawn = seed(as_embeddings(points), wanted, rng, weights=weights, first=first).indices
    if wanted == count:
        return drawn
    few = points[drawn]
    nearest = torch.cat(
        [torch.cdist(some, few).argmin(dim=1) for some in torch.split(points, 4096)]
    )
    mass = np.zeros(wanted)
    np.add.at(mass, nearest.numpy(), weights)
    return drawn[_greedy(torch.cdist(few, few).square_().numpy(), mass, count, rng)]


def _greedy(squared: Values, mass: Values, count: int, rng: np.random.Generator) -> IntArray:
    """Choose `count` of m rows by k-means++ whose steps each take the best of several draws.

    Args:
        squared: (m, m) squared distances.
        mass: (m,) weights.
        count: at most m.
        rng: source of randomness.
    """
    trials = 2 + int(np.log(count))
    chosen = [int(rng.choice(len(mass), p=mass / mass.sum()))]
    nearest = squared[chosen[0]].copy()
    free = np.ones(len(mass), dtype=bool)
    free[chosen[0]] = False
    while len(chosen) < count:
        cumulative = np.cumsum(np.where(free, nearest * mass, 0))
        if not cumulative[-1] > 0:
            rest = np.flatnonzero(free)[: count - len(chosen)]
            return np.concatenate([np.asarray(chosen, np.int64), rest])
        marks = rng.random(trials) * cumulative[-1]
        drawn = np.minimum(np.searchsorted(cumulative, marks, side="right"), len(mass) - 1)
        after = np.minimum(nearest, squared[drawn])
        best = int((after @ mass).argmin())
        nearest = after[best]
        chosen.append(int(drawn[best]))
        free[chosen[-1]] = False
    return np.asarray(chosen, np.int64)


def assign(means: KMeans | MiniBatchKMeans, features: Factor) -> IntArray:
    """Return the cluster of each of N rows: (N,), read in chunks."""
    labels: IntArray = np.concatenate(
        [
            means.predict(features.rows(part, torch.float32).cpu().numpy())
            for part in chunks(features.shape[0], features.shape[1])
        ]
    ).astype(np.int64)
    return labels


def rank_within(clusters: IntArray, values: Values, candidates: Candidates) -> IntArray:
    """Return each candidate's rank by falling value in its cluster: (N,), 0 the highest."""
    order = descending(values, candidates.rows)
    grouped = order[np.argsort(clusters[order], kind="stable")]
    starts = np.flatnonzero(np.diff(clusters[grouped], prepend=-1))
    rank = np.zeros(len(clusters), dtype=np.int64)
    lengths = np.diff(np.append(starts, len(grouped)))
    rank[grouped] = np.arange(len(grouped)) - np.repeat(starts, lengths)
    return rank


def _number(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
