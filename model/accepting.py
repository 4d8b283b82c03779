"""Which predictions may be accepted unseen, at a share of errors that is tested, not hoped for.

Learn then Test (Angelopoulos et al. 2021) with exact binomial tests, on labels that chance chose:

1. Labels of any origin, predicted out-of-fold, teach how sure a probability is in each class: a
   logistic regression of being right. They decide the order of the predictions, not how many.
2. Labels by chance are put in that order. The surest n are tested: if no more of them are wrong
   than would be in 1 of 10 samples of predictions that are wrong too often, the next larger n is
   tested, and so on until one fails (a fixed sequence, so that testing many costs nothing).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from model.intervals import LEVEL
from strategies.pool import BoolArray, FloatArray, IntArray

_FIRST = 0.25
"""Share of the labels by chance that is tested first: one wrong label among the very surest would
end a longer sequence at once."""
_TINY = 1e-6


@dataclass(frozen=True)
class Sureness:
    """How sure a prediction is: slope x logit(probability) + the shift of its class.

    Attributes:
        slope: positive.
        shift: (K,) of each class.
    """

    slope: float
    shift: FloatArray

    def __call__(self, probability: FloatArray, predicted: IntArray) -> FloatArray:
        """Return (n,) how sure predictions are."""
        return np.asarray(self.slope * _logit(probability) + self.shift[predicted])

    def probability(self, sure: float) -> FloatArray:
        """Return (K,) the probability from which on a prediction of a class is so sure."""
        return np.asarray(1 / (1 + np.exp(-(sure - self.shift) / self.slope)))


@dataclass(frozen=True)
class Cut:
    """From where on predictions may be accepted.

    Attributes:
        sure: the smallest sureness.
        labels: labels by chance that are so sure.
        wrong: how many of these the model got wrong.
    """

    sure: float
    labels: int
    wrong: int


def sureness(probability: FloatArray, predicted: IntArray, hit: BoolArray, count: int) -> Sureness:
    """Learn how sure predictions are from some whose truth is known.

    Args:
        probability: (n,) of the predicted answer.
        predicted: (n,) classes.
        hit: (n,) whether it was right.
        count: K, classes.

    Note: probabilities as they are where nothing, or only right ones, can be learned from.
    """
    plain = Sureness(1.0, np.zeros(count))
    if len(hit) < 2 or hit.all() or not hit.any():
        return plain
    from sklearn.linear_model import LogisticRegression  # here, because loading it takes a while

    columns = np.column_stack([_logit(probability), np.eye(count)[predicted]])
    found = LogisticRegression(C=1.0, max_iter=1000).fit(columns, hit)
    slope, shift = float(found.coef_[0, 0]), found.coef_[0, 1:]
    return Sureness(slope, shift) if slope > 0 else plain


def cut(sure: FloatArray, hit: BoolArray, error: float, level: float = LEVEL) -> Cut | None:
    """Find from which sureness on at most a share `error` of predictions is wrong.

    Args:
        sure: (n,) of labels that chance chose, by a model that had not seen them.
        hit: (n,) whether it was right.
        error: the share of wrong ones among those accepted, in (0, 1).
        level: how often that is to be kept.

    Returns:
        None where that cannot be said of any.
    """
    order = np.argsort(-sure, kind="stable")
    wrong = np.cumsum(~hit[order])
    found = None
    for size, most in _tests(len(sure), error, level):
        if wrong[size - 1] > most:
            break
        lowest = float(sure[order[size - 1]])
        found = Cut(lowest, size, int(wrong[size - 1]))
    return found


def allowed(labels: npt.ArrayLike, error: float, level: float = LEVEL) -> IntArray:
    """Return how many of so many labels (n,) may be wrong at most; -1: too few to tell."""
    from scipy import special  # here, because whoever only reads a cut need not load it

    labels = np.asarray(labels)
    wrong = np.arange(labels.max(initial=0) + 1).reshape(-1, *[1] * labels.ndim)
    return np.asarray((special.bdtr(wrong, labels, error) <= 1 - level).sum(axis=0) - 1, np.int64)


def needed(error: float, level: float = LEVEL) -> int:
    """Return how many labels by chance it takes, all of them right."""
    return int(np.ceil(np.log(1 - level) / np.log(1 - error)))


@cache
def _tests(labels: int, error: float, level: float) -> list[tuple[int, int]]:
    """Return which numbers of labels are tested, and how many of each may be wrong.

    These are where one more becomes allowed.
    """
    start = max(needed(error, level), int(_FIRST * labels))
    if start > labels:
        return []
    sizes = np.arange(start, labels + 1)
    most = allowed(sizes, error, level)
    steps = np.flatnonzero(np.diff(most, prepend=-1) > 0).tolist()
    return [(int(sizes[at]), int(most[at])) for at in sorted({*steps, len(sizes) - 1})]


def _logit(probability: FloatArray) -> FloatArray:
    p = np.clip(np.asarray(probability, np.float64), _TINY, 1 - _TINY)
    return np.asarray(np.log(p) - np.log1p(-p))
