"""Likely wrong labels: as cleanlab finds and orders them, and for sets and numbers."""

from __future__ import annotations

import numpy as np
import pytest
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

from model.reviewing import confident, margin, review
from model.schema import Target
from strategies.pool import TargetKind


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_judged_as_cleanlab_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, 400)
    logits = rng.normal(size=(400, 4)) + 2.5 * np.eye(4)[truth] + np.array([0, 0, 0.5, -0.5])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given = np.where(rng.random(400) < 0.15, rng.integers(0, 4, 400), truth)
    theirs = get_label_quality_scores(given, p, method="normalized_margin")
    assert margin(given, p) == pytest.approx(theirs)
    found = find_label_issues(given, p, filter_by="confident_learning", n_jobs=1)
    assert confident(given, p).tolist() == found.tolist()
    assert 0 < found.sum() < 100


def test_a_class_that_nobody_gave_is_never_suspected() -> None:
    p = np.array([[0.1, 0.0, 0.9], [0.8, 0.2, 0.0], [0.3, 0.7, 0.0]])
    assert confident(np.array([0, 0, 1]), p).tolist() == [False, False, False]
    assert confident(np.zeros(0, np.int64), np.zeros((0, 3))).tolist() == []


def test_one_wrong_label_spoils_a_set() -> None:
    target = Target("t", TargetKind.MULTILABEL, ("a", "b"))
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.1, 0.8], [0.9, 0.95]])
    truth = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1], [1, 0]])
    quality, suspect = review(target, truth, p)
    assert suspect.tolist() == [False] * 4 + [True]
    assert quality.argmin() == 4
    assert quality[4] == pytest.approx(0.05)


def test_a_number_far_off_is_suspect() -> None:
    target = Target("t", TargetKind.REGRESSION, (), 0, 10)
    truth = np.arange(10.0)
    predicted = truth + np.array([0.1, -0.1] * 4 + [0.1, 3])
    quality, suspect = review(target, truth, predicted)
    assert suspect.tolist() == [False] * 9 + [True]
    assert quality.argmin() == 9
    assert ((quality >= 0) & (quality <= 1)).all()
