"""Metrics on arrays: accuracy, F1 and calibration of classes; error and correlation of numbers."""

from __future__ import annotations

import numpy as np

from strategies.pool import FloatArray, IntArray


def accuracy(probabilities: FloatArray, truth: IntArray) -> float:
    """Return top-1 accuracy. probabilities (N, K), truth (N,)."""
    return float((probabilities.argmax(axis=1) == truth).mean())


def macro_accuracy(probabilities: FloatArray, truth: IntArray) -> float:
    """Return the mean over classes of the accuracy within a class (the papers' Top-1)."""
    hit = probabilities.argmax(axis=1) == truth
    return float(np.mean([hit[truth == label].mean() for label in np.unique(truth)]))


def macro_f1(probabilities: FloatArray, truth: IntArray) -> float:
    """Return the mean F1 over classes that occur in truth or prediction."""
    guess = probabilities.argmax(axis=1)
    scores = []
    for label in np.union1d(truth, guess):
        both = ((guess == label) & (truth == label)).sum()
        scores.append(2 * both / ((guess == label).sum() + (truth == label).sum()))
    return float(np.mean(scores))


def calibration_error(probabilities: FloatArray, truth: IntArray, bins: int = 15) -> float:
    """Return the expected calibration error over equal-width confidence bins."""
    confidence = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(hit[place == b].mean() - confidence[place == b].mean()) * (place == b).mean()
        for b in np.unique(place)
    ]
    return float(np.sum(gaps))
