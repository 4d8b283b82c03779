"""The statistics against independent versions and against what must hold by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics import (
    area,
    holm,
    interval,
    labels_needed,
    labels_saved,
    p_value,
    standard_error,
    wins,
)

LABELS = np.array([10, 20, 30, 40])


def test_interval_is_the_t_interval() -> None:
    values = np.array([0.5, 0.6, 0.55, 0.7, 0.61])
    found = interval(values)
    low, high = stats.t.interval(0.9, 4, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_standard_error_by_hand() -> None:
    values = np.array([[1.0, 10.0], [2.0, 10.0], [6.0, 10.0]])
    assert standard_error(values) == pytest.approx([(7 / 3) ** 0.5, 0])  # variance 14/2, of 3
    assert standard_error(values.T, axis=1) == pytest.approx(standard_error(values))
    assert np.isnan(standard_error(values[:1])).all()
    assert np.isnan(interval(np.array([1.0])).low)


def test_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [interval(rng.standard_normal(5)) for _ in range(2000)]
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert 0.88 < covered < 0.92


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=8).filter(lambda v: np.std(v) > 1e-3))
def test_p_value_is_scipys(differences: list[float]) -> None:
    assert p_value(np.array(differences)) == pytest.approx(
        stats.ttest_1samp(differences, 0.0).pvalue
    )


def test_p_value_of_constant_differences() -> None:
    assert p_value(np.zeros(5)) == 1.0
    assert p_value(np.full(5, 0.1)) == 0.0


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .04: times 3, 2, 1 and never falling.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])


def test_area_of_a_line_is_its_middle() -> None:
    assert area(np.array([0.0, 0.1, 0.2, 0.3]), LABELS) == pytest.approx(0.15)


def test_area_weighs_uneven_steps() -> None:
    assert area(np.array([0.0, 1.0, 1.0]), np.array([0, 10, 40])) == pytest.approx(35 / 40)


def test_wins_count_every_later_round_and_never_both_ways() -> None:
    rng = np.random.default_rng(1)
    base = rng.random((1, 5, 4))
    values = np.concatenate([base, base + 0.1 + 0.01 * rng.random((1, 5, 4)), base])
    table = wins(values, 1)
    assert table[1, 0] == 1.0
    assert table[0, 1] == 0.0
    assert table[0, 2] == table[2, 0] == 0.0
    assert np.array_equal(wins(values, -1), table.T)


def test_wins_by_chance_are_one_in_twenty_each_way() -> None:
    table = wins(np.random.default_rng(2).standard_normal((2, 5, 20_001)), 1)
    assert table[0, 1] == pytest.approx(0.05, abs=0.005)
    assert table[1, 0] == pytest.approx(0.05, abs=0.005)


def test_labels_needed_interpolates() -> None:
    curve = np.array([0.1, 0.3, 0.5, 0.7])
    assert labels_needed(curve, 0.4, LABELS) == pytest.approx(25)
    assert labels_needed(curve, 0.05, LABELS) == 10
    assert np.isnan(labels_needed(curve, 0.8, LABELS))
    both = labels_needed(np.stack([curve, curve]), np.array([0.4, 0.6]), LABELS)
    assert both == pytest.approx([25, 35])


def test_labels_saved_for_an_error_that_falls_faster() -> None:
    slow = np.tile([0.8, 0.7, 0.6, 0.5], (5, 1))
    fast = np.tile([0.8, 0.5, 0.4, 0.3], (5, 1))
    found = labels_saved(fast, slow, LABELS, -1, resamples=50)
    assert (found.needed, found.saved, found.low, found.high) == pytest.approx((20, 20, 20, 20))
    behind = labels_saved(slow, fast, LABELS, -1, resamples=50)
    assert behind.needed is None
    assert (behind.saved, behind.reached) == (0.0, 0.0)


def test_labels_saved_are_counted_from_the_references_own_first_reach() -> None:
    flat = np.tile([0.1, 0.5, 0.5, 0.5], (5, 1))
    late = np.tile([0.1, 0.2, 0.5, 0.5], (5, 1))
    found = labels_saved(late, flat, LABELS, 1, resamples=50)
    assert (found.reference, found.needed, found.saved) == pytest.approx((20, 30, -10))
    assert labels_saved(flat, flat, LABELS, 1, resamples=50).saved == 0
