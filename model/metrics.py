"""Metrics on arrays: classes, sets of labels, and numbers."""

from __future__ import annotations

import numpy as np

from model.arrays import Array
from model.labels import hard
from strategies.pool import FloatArray, IntArray, TargetKind

MAIN_METRIC = {
    TargetKind.CLASSIFICATION: "macro_accuracy",  # the papers' Top-1
    TargetKind.MULTILABEL: "macro_f1",
    TargetKind.REGRESSION: "mae",
}
LOWER_IS_BETTER = frozenset({"mae"})


def measure(
    kind: TargetKind, predicted: FloatArray, truth: Array, ends: tuple[float, float] | None = None
) -> dict[str, float]:
    """Return every metric of a kind of target.

    Args:
        kind: of the target.
        predicted: (N, K) probabilities, or (N,) numbers.
        truth: (N,) class indices, (N, K) shares or labels, or (N,) numbers.
        ends: of a number's range.
    """
    if kind is TargetKind.REGRESSION:
        assert ends is not None
        return numbers(predicted, truth, *ends)
    if kind is TargetKind.MULTILABEL:
        return label_sets(predicted, truth >= 0.5)
    return classes(predicted, hard(truth))


def classes(probabilities: FloatArray, truth: IntArray) -> dict[str, float]:
    """Return metrics of probabilities (N, K) against class indices (N,)."""
    return {
        "accuracy": accuracy(probabilities, truth),
        "macro_accuracy": macro_accuracy(probabilities, truth),
        "f1": macro_f1(probabilities, truth),
        "ece": calibration_error(probabilities, truth),
    }


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
    return float(np.mean([_f1(guess == c, truth == c) for c in np.union1d(truth, guess)]))


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


def label_sets(probabilities: FloatArray, truth: Array) -> dict[str, float]:
    """Return metrics of per-label probabilities (N, K) against (N, K) booleans, cut at .5.

    `accuracy` is per label, `exact` that of whole sets, `f1` over all labels at once, `macro_f1`
    the mean over labels that occur in truth or prediction.
    """
    guess = probabilities >= 0.5
    occur = [(g, t) for g, t in zip(guess.T, truth.T, strict=True) if g.any() or t.any()]
    return {
        "accuracy": float((guess == truth).mean()),
        "exact": float((guess == truth).all(axis=1).mean()),
        "f1": _f1(guess.ravel(), truth.ravel()),
        "macro_f1": float(np.mean([_f1(g, t) for g, t in occur])) if occur else 1.0,
    }


def numbers(predicted: FloatArray, truth: FloatArray, low: float, high: float) -> dict[str, float]:
    """Return metrics of values (N,) against truth (N,), both clipped to the range.

    Scaled to [-1, 1], Acc-2 cuts at 0 (0 counts as negative), Acc-3 at -.1 and .1, Acc-5 at -.7,
    -.1, .1 and .7, bins closed on the right (CH-SIMS); Acc-7 compares thirds of the half range,
    rounded (the scale from -3 to 3 of CMU-MOSI). F1 is the two halves' F1 weighted by frequency.
    """
    predicted, truth = np.clip(predicted, low, high), np.clip(truth, low, high)
    middle, half = (low + high) / 2, (high - low) / 2  # so that a cut itself stays what it is
    guess, real = ((v - middle) / half for v in (predicted, truth))
    found = {"mae": float(np.abs(predicted - truth).mean()), "corr": pearson(predicted, truth)}
    for name, cuts in _CUTS.items():
        hit = np.digitize(guess, cuts, right=True) == np.digitize(real, cuts, right=True)
        found[name] = float(hit.mean())
    found["acc7"] = float((np.round(guess * 3) == np.round(real * 3)).mean())
    share = float((real > 0).mean())
    found["f1"] = share * _f1(guess > 0, real > 0) + (1 - share) * _f1(guess <= 0, real <= 0)
    return found


_CUTS = {"acc2": [0.0], "acc3": [-0.1, 0.1], "acc5": [-0.7, -0.1, 0.1, 0.7]}


def pearson(first: FloatArray, second: FloatArray) -> float:
    """Return the correlation; 0 where one side is constant."""
    sides = []
    for values in (first, second):
        if len(values) < 2 or np.ptp(values) == 0:
            return 0.0
        centred = np.asarray(values, np.float64) - np.mean(values, dtype=np.float64)
        largest = np.abs(centred).max()
        if largest == 0:
            return 0.0
        # Scaled first, so that no square of a tiny or huge number leaves the range.
        sides.append(centred / largest / np.linalg.norm(centred / largest))
    return float(np.clip(sides[0] @ sides[1], -1, 1))


def _f1(guess: Array, truth: Array) -> float:
    """Return F1 of booleans; 1 where neither side has any."""
    total = guess.sum() + truth.sum()
    return float(2 * (guess & truth).sum() / total) if total else 1.0
