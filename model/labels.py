"""Labels as arrays, and what several annotators of one task add up to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from model.arrays import Array, Float32Array
from model.schema import Schema, Target
from strategies.pool import TargetKind

Labels = Mapping[str, Array]
"""Target name -> (N,) int class index (-1 unknown), (N, K) float (multilabel or soft; NaN rows are
unknown), or (N,) float (regression; NaN unknown)."""


class NotEnoughLabels(ValueError):
    """Nothing can be trained yet; the message says what is missing."""


def known(target: Target, values: Array) -> npt.NDArray[np.bool_]:
    """Return (N,) whether a sample has a label for this target."""
    if values.ndim == 2:
        return np.asarray(np.isfinite(values).all(axis=1))
    if target.kind is TargetKind.REGRESSION:
        return np.asarray(np.isfinite(values))
    return np.asarray(values >= 0)


def hard(values: Array) -> npt.NDArray[np.int64]:
    """Return (N,) class indices of class indices (N,) or soft labels (N, K)."""
    return (values.argmax(axis=1) if values.ndim == 2 else values).astype(np.int64)


def value_range(target: Target, values: Array) -> tuple[float, float]:
    """Return a regression target's range, ends that the config leaves open from the labels."""
    finite = values[np.isfinite(values)]
    bottom = target.low if target.low is not None else float(finite.min(initial=np.inf))
    top = target.high if target.high is not None else float(finite.max(initial=-np.inf))
    if not (np.isfinite(bottom) and np.isfinite(top)):
        return 0.0, 1.0
    return (bottom, top) if top > bottom else (bottom - 0.5, bottom + 0.5)


def check(labels: Labels, schema: Schema, size: int) -> dict[str, Array]:
    """Return the labels of the schema's targets, with every promise about them verified.

    Raises:
        ValueError: wrong length, shape or class index.
        NotEnoughLabels: no sample has a label of any question.
    """
    checked = {}
    for target in schema.targets:
        if target.name in labels:
            checked[target.name] = _checked(target, np.asarray(labels[target.name]), size)
        else:
            checked[target.name] = _unknown(target, size)
    questions = schema.questions
    names = " or ".join(repr(question.name) for question in questions)
    if not any(question.name in labels for question in questions):
        raise NotEnoughLabels(f"labels of the target {names} are missing")
    if not any(known(question, checked[question.name]).any() for question in questions):
        raise NotEnoughLabels(f"no task has a label of {names} yet; label some first")
    return checked


def waiting(schema: Schema, labels: Labels) -> list[str]:
    """Return the questions that have too few labels to be learned beside the others.

    One with classes needs two that occur, any other a label; a single question waits for nothing.

    Args:
        schema: the questions.
        labels: as `check` returns them.
    """
    few = [q.name for q in schema.questions if not enough(q, labels[q.name])]
    if len(few) < len(schema.questions):
        return few
    return [q.name for q in schema.questions if not known(q, labels[q.name]).any()]


def enough(question: Target, values: Array) -> bool:
    """Tell whether a question has enough labels to be learned: two classes, or any other label."""
    here = known(question, values)
    if question.kind is TargetKind.CLASSIFICATION:
        return len(np.unique(hard(values[here]))) > 1
    return bool(here.any())


def _unknown(target: Target, size: int) -> Array:
    if target.kind is TargetKind.CLASSIFICATION:
        return np.full(size, -1, np.int64)
    if target.kind is TargetKind.MULTILABEL:
        return np.full((size, len(target.classes)), np.nan, np.float32)
    return np.full(size, np.nan, np.float32)


def _checked(target: Target, values: Array, size: int) -> Array:
    if len(values) != size:
        raise ValueError(f"{target.name!r}: {len(values)} labels for {size} samples")
    count = len(target.classes)
    if target.kind is TargetKind.REGRESSION:
        if values.ndim != 1:
            raise ValueError(f"{target.name!r}: a number per sample is expected")
        return values.astype(np.float32)
    if values.ndim == 2:
        if values.shape[1] != count:
            raise ValueError(f"{target.name!r}: {values.shape[1]} columns for {count} classes")
        return values.astype(np.float32)
    if target.kind is TargetKind.MULTILABEL or values.ndim != 1:
        raise ValueError(f"{target.name!r}: an array (N, {count}) is expected")
    if values.size and not (values.min() >= -1 and values.max() < count):
        raise ValueError(f"{target.name!r}: class indices must lie in [-1, {count - 1}]")
    return values.astype(np.int64)


def majority(votes: Array, count: int) -> npt.NDArray[np.int64]:
    """Return the class most annotators chose.

    Ties go to the class with more votes over all tasks, then to the earlier one.

    Args:
        votes: (N, A) class indices, -1 where an annotator gave none (skipped, cancelled).
        count: number of classes.

    Returns:
        (N,) class indices, -1 where nobody voted.
    """
    tally = _tally(votes, count)
    overall = tally.sum(axis=0)
    order = np.lexsort((np.arange(count), -overall))  # most frequent class first
    winner = order[tally[:, order].argmax(axis=1)]
    return np.where(tally.sum(axis=1) > 0, winner, -1).astype(np.int64)


def soft(votes: Array, count: int) -> Float32Array:
    """Return the share of votes per class: (N, K), a row of NaN where nobody voted.

    Args:
        votes: (N, A) class indices, -1 where an annotator gave none.
        count: number of classes.
    """
    tally = _tally(votes, count)
    total = tally.sum(axis=1, keepdims=True)
    share = np.divide(tally, total, out=np.full(tally.shape, np.nan), where=total > 0)
    return share.astype(np.float32)


def mean(votes: Array) -> Array:
    """Return the mean over annotators of numbers (N, A) or of label sets (N, A, K), NaN = none."""
    given = np.isfinite(votes)
    total = given.sum(axis=1)
    added = np.where(given, votes, 0.0).sum(axis=1)
    return np.divide(added, total, out=np.full(added.shape, np.nan), where=total > 0).astype(
        np.float32
    )


def _tally(votes: Array, count: int) -> npt.NDArray[np.float64]:
    votes = np.atleast_2d(np.asarray(votes, np.int64))
    if votes.size and not (votes.min() >= -1 and votes.max() < count):
        raise ValueError(f"class indices must lie in [-1, {count - 1}]")
    return (votes[:, :, None] == np.arange(count)).sum(axis=1).astype(np.float64)
