"""Labels that are likely wrong, from what models say that had not seen them.

Confident learning (Northcutt et al., JAIR 2021): a model is confident of class k where its
probability is at least the mean one of the tasks that are labelled k, so that a class of which it
is never sure is not suspected whole. Labels are ordered by normalised margin, as cleanlab does.
"""

from __future__ import annotations

import numpy as np

from model import labels as labelling
from model.arrays import Array
from model.schema import Target
from strategies.pool import BoolArray, FloatArray, IntArray, TargetKind

_ROUNDING = 1e-6
_FAR = 3.0
"""Spreads by which a number has to be off to be suspect."""


def review(target: Target, truth: Array, predicted: Array) -> tuple[FloatArray, BoolArray]:
    """Judge labels.

    Args:
        target: the question.
        truth: (n,) or (n, K) labels as in `Labels`, all of them known.
        predicted: (n, K) probabilities or (n,) numbers, by models that had not seen them.

    Returns:
        (n,) quality in [0, 1], low where a label is likely wrong; and (n,) whether it is suspect.
    """
    predicted = np.asarray(predicted, np.float64)
    if target.kind is TargetKind.CLASSIFICATION:
        given = labelling.hard(truth)
        return margin(given, predicted), confident(given, predicted)
    if target.kind is TargetKind.MULTILABEL:
        given = (truth >= 0.5).astype(np.int64)
        pairs = np.stack([1 - predicted, predicted], axis=2)  # (n, K, 2)
        of_each = [margin(given[:, k], pairs[:, k]) for k in range(given.shape[1])]
        wrong = [confident(given[:, k], pairs[:, k]) for k in range(given.shape[1])]
        # One wrong label of a set is enough.
        return np.min(of_each, axis=0), np.any(wrong, axis=0)
    off = np.abs(predicted - np.asarray(truth, np.float64))
    spread = 1.4826 * float(np.median(off)) if len(off) else 0.0  # as of a normal distribution
    far = off / spread if spread > 0 else np.where(off > 0, np.inf, 0.0)
    return np.exp(-far), far > _FAR


def margin(given: IntArray, p: FloatArray) -> FloatArray:
    """Return (n,) how far the given class is above the likeliest other one, scaled to [0, 1]."""
    place = np.arange(len(p))
    others = p.copy()
    others[place, given] = -np.inf
    return np.asarray((p[place, given] - others.max(axis=1, initial=-np.inf) + 1) / 2)


def confident(given: IntArray, p: FloatArray) -> BoolArray:
    """Return (n,) whether a model is confident of another class than the given one (Eq. 1).

    Args:
        given: (n,) classes.
        p: (n, K) probabilities.
    """
    if not len(p):
        return np.zeros(0, bool)
    usual = np.array(
        [p[given == k, k].mean() if (given == k).any() else np.inf for k in range(p.shape[1])]
    )
    sure = p >= usual - _ROUNDING
    best = np.where(sure.sum(axis=1) > 1, p.argmax(axis=1), sure.argmax(axis=1))
    return np.asarray(sure.any(axis=1) & (best != given) & (p.argmax(axis=1) != given))
