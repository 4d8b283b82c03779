"""How far annotators agree, where several have answered the same tasks."""

from __future__ import annotations

import numpy as np

from model.intervals import Interval, mean
from strategies.pool import FloatArray, IntArray


def coincidences(counts: IntArray) -> FloatArray:
    """Return Krippendorff's coincidence matrix (K, K): pairs of answers to the same task.

    Args:
        counts: (T, K) how many annotators gave each of K answers to each of T tasks; tasks with
            fewer than two answers hold no pair.
    """
    several = counts[counts.sum(axis=1) > 1].astype(np.float64)
    share = several / (several.sum(axis=1, keepdims=True) - 1)
    return np.asarray(several.T @ share - np.diag(share.sum(axis=0)))


def alpha(pairs: FloatArray) -> float:
    """Return Krippendorff's alpha of nominal answers: 1 all agree, 0 as by chance, NaN unknown.

    Args:
        pairs: (K, K) as `coincidences` returns them.
    """
    of_class = pairs.sum(axis=1)
    total = of_class.sum()
    expected = total**2 - np.square(of_class).sum()
    if expected <= 0:  # one class, or no pair
        return float("nan")
    return float(1 - (total - 1) * (total - np.trace(pairs)) / expected)


def of_classes(pairs: FloatArray) -> FloatArray:
    """Return (K,) how often, where one annotator gave a class, another one gave it, too."""
    total = pairs.sum(axis=1)
    return np.divide(np.diag(pairs), total, out=np.full(len(total), np.nan), where=total > 0)


def with_others(counts: IntArray, own: IntArray) -> Interval | None:
    """Return how often one annotator agrees with another one, with its interval; None: unknown.

    Args:
        counts: (T, K) answers of all annotators, this one included.
        own: (T,) class that this one gave, -1 where none.
    """
    rows = np.flatnonzero((own >= 0) & (counts.sum(axis=1) > 1))
    if len(rows) < 2:
        return None
    shares = (counts[rows, own[rows]] - 1) / (counts[rows].sum(axis=1) - 1)
    value, low, high = mean(shares)
    return value, max(0.0, low), min(1.0, high)
