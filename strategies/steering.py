"""What people want of an order beside what a strategy does: wanted classes, priority, no twins.

One formula: a task at place k of the strategy's order (from 1) moves to place k / w, where

    w = meets x priority x product over questions of (1 + sum over classes of p_c (want_c - 1)),

and near-duplicates of a task before them, or of a labelled one, come last. So a task that counts
twice is served as if it stood at half its place: whatever scores a strategy has, weights mean the
same, and where all are 1 its order stays.
"""

from __future__ import annotations

import numpy as np
import torch

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
    ours, found = _unit(points), np.zeros(len(points), bool)
    if len(ours) < 2:
        return found
    gaps = torch.cdist(ours, ours).fill_diagonal_(torch.inf)
    near = max(TWIN * float(gaps.amin(dim=1).quantile(0.5)), _SAME)
    if known is not None and len(known):
        found = (torch.cdist(ours, _unit(known)).amin(dim=1) <= near).numpy()
    for row, close in enumerate((gaps <= near).numpy()):  # the first that is served judges others
        if not found[row]:
            found[row + 1 :] |= close[row + 1 :]
    return np.asarray(found & (np.square(points).sum(axis=1) > 0))


def _unit(points: FloatArray) -> torch.Tensor:
    rows = torch.from_numpy(np.asarray(points, np.float64))
    length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return torch.where(length > 0, rows / length, 0.0)
