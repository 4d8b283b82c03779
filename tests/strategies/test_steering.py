"""Weights move tasks by the factor that they say, and twins come last."""

from __future__ import annotations

import numpy as np
import pytest

from strategies.steering import steered, twins, wanted


def test_a_task_that_counts_twice_stands_at_half_its_place() -> None:
    order, nobody = np.array([4, 2, 0, 1, 3]), np.zeros(5, bool)
    assert steered(order, np.ones(5), nobody).tolist() == order.tolist()
    weight = np.array([1, 1, 1, 3.0, 1])  # row 3: place 5 / 3, between the first and the second
    assert steered(order, weight, nobody).tolist() == [4, 3, 2, 0, 1]
    weight = np.array([1, 1, 1, 1, 0.0])
    assert steered(order, weight, nobody).tolist() == [2, 0, 1, 3, 4], "what counts 0 comes last"
    twin = np.array([False, False, True, False, False])
    assert steered(order, weight, twin).tolist() == [0, 1, 3, 4, 2]


def test_wanted_classes_weigh_by_their_probability() -> None:
    p = np.array([[0.5, 0.5, 0.0], [0.0, 0.1, 0.9], [0.0, 0.0, 1.0]])
    assert wanted(p, np.array([1.0, 3.0, 1.0])) == pytest.approx([2.0, 1.2, 1.0])
    assert wanted(p, np.array([1.0, 1.0, 0.0])) == pytest.approx([1.0, 0.1, 0.0])
    several = np.array([[0.9, 0.9]])
    assert wanted(several, np.zeros(2)).tolist() == [0.0], "never negative"


def test_near_duplicates_are_served_once() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(30, 8))
    points[7] = points[2] * 3 + 1e-3  # the same direction
    points[20] = points[7]
    points[29] = 0
    points[28] = 0
    assert np.flatnonzero(twins(points)).tolist() == [7, 20]
    known = np.stack([points[2], rng.normal(size=8)])
    assert np.flatnonzero(twins(points, known)).tolist() == [2, 7, 20]
    assert not twins(points[:1]).any()
    assert not twins(rng.normal(size=(200, 8))).any(), "chance makes none"
    assert np.flatnonzero(twins(np.ones((4, 3)))).tolist() == [1, 2, 3]
