"""Thresholds from which on predictions may be accepted: exact tests, kept promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from model.accepting import allowed, cut, needed, sureness


@pytest.mark.parametrize(("error", "level"), [(0.05, 0.9), (0.1, 0.9), (0.02, 0.95), (0.3, 0.5)])
def test_as_many_may_be_wrong_as_the_exact_bound_says(error: float, level: float) -> None:
    for labels in (1, 5, 44, 45, 76, 77, 300):
        # Clopper and Pearson's upper end is the largest share that so few wrong ones allow.
        fits = [
            wrong
            for wrong in range(labels)
            if stats.beta.ppf(level, wrong + 1, labels - wrong) <= error
        ]
        assert allowed(labels, error, level) == max(fits, default=-1)
    assert allowed(needed(error, level), error, level) == 0
    assert allowed(needed(error, level) - 1, error, level) == -1


def test_it_takes_45_right_labels_to_accept_at_5_percent() -> None:
    assert needed(0.05) == 45
    sure, right = np.arange(45.0), np.ones(45, bool)
    found = cut(sure, right, 0.05)
    assert found is not None
    assert (found.sure, found.labels, found.wrong) == (0.0, 45, 0)
    assert cut(sure[1:], right[1:], 0.05) is None
    right[3] = False
    assert cut(sure, right, 0.05) is None, "one of 45 may be chance"


def test_the_sequence_ends_before_the_unsure_ones_that_are_wrong() -> None:
    sure = np.arange(200.0)[::-1]
    hit = np.arange(200) < 110
    found = cut(sure, hit, 0.05)
    assert found is not None
    assert 100 <= found.labels <= 118
    assert found.wrong <= allowed(found.labels, 0.05)
    assert (sure >= found.sure).sum() == found.labels


def test_classes_that_are_wrong_more_often_need_a_higher_probability() -> None:
    rng = np.random.default_rng(0)
    p, predicted = rng.uniform(0.5, 1, 2000), rng.integers(0, 2, 2000)
    hit = rng.random(2000) < np.where(predicted == 0, p, p - 0.3)
    found = sureness(p, predicted, hit, 2)
    at = found.probability(2.0)
    assert at[1] > at[0] + 0.05
    assert found(at, np.array([0, 1])) == pytest.approx([2.0, 2.0])
    blind = sureness(p, predicted, np.ones(2000, bool), 2)
    assert (blind.slope, blind.shift.tolist()) == (1.0, [0.0, 0.0]), "nothing wrong, nothing learnt"
    turned = sureness(p, predicted, rng.random(2000) > p, 2)
    assert turned.slope == 1.0, "a model that is right where it is unsure changes no order"


@pytest.mark.parametrize("labels", [60, 120, 400])
def test_the_share_of_wrong_ones_is_kept_in_nine_of_ten_samples(labels: int) -> None:
    rng = np.random.default_rng(labels)
    population = rng.uniform(0, 1, 100_000)
    chance = 0.3 * (1 - population) ** 1.5  # of being wrong; 12% of all are
    broken = told = 0
    for _ in range(1500):
        rows = rng.integers(0, len(population), labels)
        found = cut(population[rows], rng.random(labels) >= chance[rows], 0.05)
        if found is not None:
            told += 1
            broken += int(chance[population >= found.sure].mean() > 0.05)
    assert told > 25
    # Of all samples, as the promise says; three standard errors of 1500 draws.
    assert broken / 1500 < 0.1 + 3 * np.sqrt(0.09 / 1500)
    print(f"{labels} labels: {told} of 1500 samples allow some, {broken} wrongly")
