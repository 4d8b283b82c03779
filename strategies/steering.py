"""What people want of an order beside what a strategy does: wanted classes, priority, no twins.

One formula: a task at place k of the strategy's order (from 1) moves to place k / w, where

    w = priority x product over questions of (1 + sum over classes of p_c (want_c - 1)),

and near-duplicates of a task before them, or of a labelled one, come last. So a task that counts
twice is served as if it stood at half its place: whatever scores a strategy has, weights mean the
same, and where all are 1 its order stays.
"""

from __future__ import annotations

import numpy as np

from strategies.pool import BoolArray, FloatArray, IntArray

TWIN = 0.1
"""Near-duplicates are closer than this share of the median distance to the nearest other task."""
_SAME = 1e-3
"""Rows of length 1 at this distance are the same, whatever the others are like."""


def wanted(probabilities: FloatArray, want: FloatArray) -> FloatArray:
    """Return (N,) how much tasks count for the classes that they are likely to have.

    Args:
        probabilities: (N, K) of classes, or of labels.
        want: (K,) how much each counts, 1 where nothing is said, not negative.
    """
    return np.maximum(1 + np.asarray(probabilities, np.float64) @ (want - 1), 0.0)


def steered(order: IntArray, weight: FloatArray, twin: BoolArray) -> IntArray:
    """Put an order's tasks at their places divided by their weights, twins last.

    Args:
        order: (n,) rows of the pool, most valuable first.
        weight: (N,) not negative; those of 0 come after all others, before twins.
        twin: (N,) which rows are near-duplicates.
    """
    with np.errstate(divide="ignore"):
        place = np.arange(1, len(order) + 1) / weight[order]
    return np.asarray(order[np.lexsort((place, twin[order]))])


def twins(points: FloatArray, known: FloatArray | None = None) -> BoolArray:
    """Return which rows (n,) are near-duplicates of a row before them, or of a labelled one.

    Args:
        points: (n, D) vectors in the order they would be served; rows of zeros are nobody's twin.
        known: (L, D) labelled ones; None: none.
    """
    from sklearn.neighbors import NearestNeighbors  # here, because loading it takes a while

    ours, found = _unit(points), np.zeros(len(points), bool)
    if len(ours) < 2:
        return found
    among = NearestNeighbors(algorithm="brute").fit(ours)
    near = max(TWIN * float(np.median(among.kneighbors(n_neighbors=1)[0])), _SAME)
    if known is not None and len(known):
        labelled = NearestNeighbors(algorithm="brute").fit(_unit(known))
        found = labelled.kneighbors(ours, 1)[0][:, 0] <= near
    close = among.radius_neighbors(radius=near, return_distance=False)
    for row, others in enumerate(close):  # a twin of a twin is judged by the first that is served
        if not found[row]:
            found[others[others > row]] = True
    return np.asarray(found & (np.square(points).sum(axis=1) > 0))


def _unit(points: FloatArray) -> FloatArray:
    points = np.asarray(points, np.float64)
    length = np.sqrt(np.square(points).sum(axis=1, keepdims=True))
    return np.asarray(np.divide(points, length, out=np.zeros_like(points), where=length > 0))
