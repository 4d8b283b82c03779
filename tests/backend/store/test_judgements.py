"""What models say of labels that they had not seen, by hand, for every kind of question."""

from __future__ import annotations

import numpy as np
import pytest

from backend.store.judgements import rows_of
from model.schema import Target
from strategies.pool import TargetKind

TASKS = [11, 12, 13, 14, 15]


def test_classes() -> None:
    target = Target("kind", TargetKind.CLASSIFICATION, ("a", "b", "c"))
    truth = np.array([0, 2, -1, 1, 2])
    predicted = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [0.2, 0.6, 0.2], [0.9, 0.06, 0.04]])
    found = rows_of(target, TASKS, truth, predicted, np.array([0, 2, 3, 4]))
    assert found["task"].tolist() == [11, 14, 15], "the third one has no label"
    assert set(found["question"]) == {"kind"}
    assert found["given"].tolist() == ["a", "b", "c"]
    assert found["likely"].tolist() == ["c", "b", "a"]
    assert found["probability"] == pytest.approx([0.7, 0.6, 0.9])
    assert found["hit"].tolist() == [False, True, False]


def test_shares_of_classes_count_as_the_largest() -> None:
    target = Target("kind", TargetKind.CLASSIFICATION, ("a", "b"))
    truth = np.array([[0.25, 0.75], [1.0, 0.0]])
    found = rows_of(target, TASKS[:2], truth, np.array([[0.4, 0.6], [0.4, 0.6]]), np.arange(2))
    assert found["given"].tolist() == ["b", "a"]
    assert found["hit"].tolist() == [True, False]


def test_sets_of_labels() -> None:
    target = Target("marks", TargetKind.MULTILABEL, ("x", "y", "z"))
    truth = np.array([[1, 0, 1], [0, 0, 0], [np.nan] * 3, [0.5, 0.4, 0], [1, 1, 1]])
    predicted = np.array(
        [[0.9, 0.2, 0.5], [0.4, 0.1, 0.2], [0.5, 0.5, 0.5], [0.8, 0.3, 0.1], [0.9, 0.45, 0.9]]
    )
    found = rows_of(target, TASKS, truth, predicted, np.arange(5))
    assert found["task"].tolist() == [11, 12, 14, 15]
    assert found["given"].tolist() == ["x|z", "", "x", "x|y|z"]
    assert found["likely"].tolist() == ["x|z", "", "x", "x|z"]
    assert found["hit"].tolist() == [True, True, True, False]
    # How sure the least sure answer is.
    assert found["probability"] == pytest.approx([0.5, 0.6, 0.7, 0.55])


def test_numbers() -> None:
    target = Target("size", TargetKind.REGRESSION, low=0.0, high=10.0)
    truth = np.array([1.5, np.nan, 3.0])
    found = rows_of(target, TASKS[:3], truth, np.array([1.23456, 2.0, 8.0]), np.arange(3))
    assert found["task"].tolist() == [11, 13]
    assert found["given"].tolist() == ["1.5", "3"]
    assert found["likely"].tolist() == ["1.235", "8"]
    assert np.isnan(found["probability"]).all()
    assert found["hit"].all(), "there is no right or wrong"
