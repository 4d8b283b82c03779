"""Figures with intervals, per question and class; none of too few labels."""

from __future__ import annotations

import numpy as np
import pytest

from model.measuring import ENOUGH, main, measure
from model.schema import Target
from strategies.pool import TargetKind

CLASS = Target("kind", TargetKind.CLASSIFICATION, ("a", "b", "never"))
SEVERAL = Target("tags", TargetKind.MULTILABEL, ("x", "y"))
NUMBER = Target("size", TargetKind.REGRESSION, low=0, high=10)


def sure_of(answers: np.ndarray) -> np.ndarray:
    """Return probabilities .8 for these answers."""
    return np.where(np.eye(3)[answers] > 0, 0.8, 0.1)


def test_too_few_labels_give_no_figure() -> None:
    truth = np.zeros(ENOUGH, np.int64)
    truth[0] = -1  # unknown
    assert measure(CLASS, sure_of(np.abs(truth)), truth) == {}
    assert main(CLASS, sure_of(np.abs(truth)), truth) == {}


def test_classes_are_measured_with_intervals() -> None:
    truth = np.arange(40) % 2
    said = truth.copy()
    said[:6] = 1 - said[:6]
    found = measure(CLASS, sure_of(said), truth)
    assert found["n"] == 40
    value, low, high = found["accuracy"]
    assert value == 0.85
    assert 0.7 < low < 0.85 < high < 0.95
    assert found["classes"].keys() == {"a", "b"}
    assert found["classes"]["a"]["n"] == 20
    assert found["classes"]["a"]["found"][0] == 0.85
    assert found["overconfidence"][0] == pytest.approx(0.8 - 0.85)
    assert found["overconfidence"][1] < 0 < found["overconfidence"][2]
    assert main(CLASS, sure_of(said), truth) == {"n": 40, "accuracy": found["accuracy"]}


def test_how_often_the_model_is_right_is_told_by_how_sure_it_is() -> None:
    sure = np.linspace(0.5, 1, 100)
    truth = np.zeros(100, int)
    truth[:30] = np.arange(30) % 2  # where it is least sure it is right half of the time
    found = measure(CLASS, np.stack([sure, 1 - sure], axis=1), truth)
    parts = found["reliability"]
    assert [part["n"] for part in parts] == [20] * 5
    assert [part["sure"] for part in parts] == pytest.approx(
        [0.55, 0.65, 0.75, 0.85, 0.95], abs=0.01
    )
    assert [part["right"][0] for part in parts] == [0.5, 0.75, 1, 1, 1]
    assert parts[0]["right"][1] < 0.5 < parts[0]["right"][2]
    few = measure(CLASS, np.stack([sure, 1 - sure], axis=1)[:39], truth[:39])
    assert "reliability" not in few


def test_several_and_numbers_are_measured() -> None:
    truth = np.stack([np.arange(40) % 2, np.arange(40) % 4 == 0], axis=1).astype(float)
    said = np.where(truth > 0, 0.9, 0.1)
    said[0, 0] = 0.9  # one task of 40 is wrong in one label
    found = measure(SEVERAL, said, truth)
    assert found["exact"][0] == 0.975
    assert found["accuracy"][0] == 0.9875
    assert found["classes"]["y"]["n"] == 10
    truth = np.linspace(0, 10, 30)
    found = measure(NUMBER, truth + 0.5, truth)
    assert found["mae"] == [0.5, 0.5, 0.5]
    assert found["corr"][0] == 1
    assert main(NUMBER, truth + 0.5, truth)["mae"] == [0.5, 0.5, 0.5]
