"""Every metric against a case worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from model import metrics


def confident(*rows: tuple[float, int]) -> np.ndarray:
    """Return (N, 2) probabilities: of each row the highest one and its class."""
    return np.array([[p, 1 - p] if label == 0 else [1 - p, p] for p, label in rows])


def test_two_samples_of_a_bin_count_by_their_means() -> None:
    # Bins of width 1/15: .61 and .65 lie in [.6, .667), .95 in the last; classes 0, 0, 1 are said.
    p = confident((0.61, 0), (0.65, 0), (0.95, 1))
    # Of the first two one is right: |.5 - .63| of two thirds of the samples; |1 - .95| of one.
    found = metrics.calibration_error(p, np.array([0, 1, 1]))
    assert found == pytest.approx(0.13 * 2 / 3 + 0.05 / 3)
    # Where samples of a bin are wrong in opposite directions, they make up for each other.
    assert metrics.calibration_error(confident((0.5, 0), (0.5, 0)), np.array([0, 1])) == 0


def test_a_sure_prediction_lies_in_the_last_bin() -> None:
    p = confident((1.0, 0), (0.95, 0))
    # Both in the last bin: |.5 - .975|; in bins of their own it would be (0 + .95) / 2.
    assert metrics.calibration_error(p, np.array([0, 1])) == pytest.approx(0.475)


def test_the_number_of_bins_counts() -> None:
    p = confident((0.6, 0), (0.9, 0))
    truth = np.array([0, 1])
    assert metrics.calibration_error(p, truth, bins=1) == pytest.approx(0.25)
    assert metrics.calibration_error(p, truth, bins=2) == pytest.approx(0.25)
    assert metrics.calibration_error(p, truth, bins=4) == pytest.approx((0.4 + 0.9) / 2)


def test_label_sets() -> None:
    p = np.array([[0.9, 0.5, 0.1], [0.4, 0.6, 0.2], [0.8, 0.1, 0.3]])
    truth = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]], bool)
    found = metrics.label_sets(p, truth)
    assert found["accuracy"] == pytest.approx(7 / 9)  # .5 counts as said
    assert found["exact"] == pytest.approx(1 / 3)
    # Four labels said, all of them right, of six true ones.
    assert found["f1"] == pytest.approx(2 * 4 / (4 + 6))
    # Columns: 2 of 3 found; both of 2; none of 1.
    assert found["macro_f1"] == pytest.approx((2 * 2 / 5 + 1 + 0) / 3)
    assert metrics.label_sets(np.zeros((2, 2)), np.zeros((2, 2), bool))["f1"] == 1


def test_f1_of_numbers_weighs_both_halves_by_how_often_they_occur() -> None:
    truth = np.array([0.5, 0.5, 0.5, -0.5, 0.0])
    guess = np.array([0.5, 0.5, -0.5, 0.5, -0.1])
    # Positive: 3 said, 3 true, 2 right: 2/3. Else, which 0 is: 2 said, 2 true, 1 right: 1/2.
    found = metrics.numbers(guess, truth, -1.0, 1.0)["f1"]
    assert found == pytest.approx(0.6 * 2 / 3 + 0.4 * 1 / 2)


def test_cuts_of_five_are_at_seven_tenths_and_one_tenth_closed_on_the_right() -> None:
    truth = np.array([-0.9, -0.5, 0.0, 0.5, 0.9])
    same = {
        (-1.0, -0.7): 0,
        (-0.69, -0.1): 1,
        (-0.09, 0.1): 2,
        (0.11, 0.7): 3,
        (0.71, 1.0): 4,
    }
    for ends, place in same.items():
        for end in ends:
            guess = np.full(5, end)
            assert metrics.numbers(guess, truth, -1.0, 1.0)["acc5"] == pytest.approx(0.2)
            one = metrics.numbers(guess[:1], truth[place : place + 1], -1.0, 1.0)
            assert one["acc5"] == 1, end


def test_numbers_are_scaled_by_their_range_before_they_are_cut() -> None:
    # From 0 to 10: 5 is the middle, 8.5 and 1.5 are the outer cuts, 5.5 and 4.5 the inner ones.
    def acc(name: str, guess: float, truth: float) -> float:
        return metrics.numbers(np.array([guess]), np.array([truth]), 0.0, 10.0)[name]

    assert (acc("acc2", 5.0, 4.0), acc("acc2", 5.1, 4.0)) == (1, 0)
    assert (acc("acc3", 5.4, 4.6), acc("acc3", 5.6, 4.6)) == (1, 0)
    assert (acc("acc5", 8.4, 6.0), acc("acc5", 8.6, 6.0)) == (1, 0)
    # Sevenths of the range: a third of half the range is 1.67, so 5.8 rounds to 0 and 5.9 to 1.
    assert (acc("acc7", 5.8, 5.0), acc("acc7", 5.9, 5.0)) == (1, 0)


def test_numbers_out_of_range_are_clipped_on_both_sides_of_both() -> None:
    guess, truth = np.array([-5.0, 5.0, 0.0]), np.array([-1.0, 9.0, -2.0])
    assert metrics.numbers(guess, truth, -1.0, 1.0)["mae"] == pytest.approx(1 / 3)


def test_f1_counts_classes_that_are_only_said() -> None:
    p = np.eye(3)[[0, 0, 2]]
    # Class 0: 2 said, 2 true, 1 right; class 1: 1 true, none said; class 2: 1 said, none true.
    found = metrics.classes(p, np.array([0, 1, 0]))
    assert found["f1"] == pytest.approx((1 / 2 + 0 + 0) / 3)
    assert found["macro_accuracy"] == pytest.approx((1 / 2 + 0) / 2)


def test_correlation_by_hand_and_of_too_few() -> None:
    truth, guess = np.array([-1.0, 0.0, 1.0]), np.array([0.5, -0.5, 0.6])
    # Covariance (.5 * -1 + .6 * 1) = .1; lengths sqrt(2) and, around .2, sqrt(.09 + .49 + .16).
    expected = 0.1 / np.sqrt(2 * 0.74)
    assert metrics.numbers(guess, truth, -1.0, 1.0)["corr"] == pytest.approx(expected)
    assert metrics.numbers(guess[:1], truth[:1], -1.0, 1.0)["corr"] == 0
    assert metrics.numbers(guess, np.zeros(3), -1.0, 1.0)["corr"] == 0
