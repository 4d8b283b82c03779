"""Intervals hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from model.intervals import bootstrap, mean, wilson


def test_wilson_is_the_published_one() -> None:
    value, low, high = wilson(np.arange(10) < 8, level=0.95)
    assert (value, round(low, 4), round(high, 4)) == (0.8, 0.4902, 0.9433)  # Newcombe 1998's kind
    assert wilson(np.ones(5, bool))[2] == 1
    assert wilson(np.zeros(5, bool))[1] == 0


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_wilson_holds_the_truth(share: float) -> None:
    rng = np.random.default_rng(0)
    found = [wilson(rng.random(30) < share) for _ in range(4000)]
    inside = np.mean([low <= share <= high for _, low, high in found])
    assert 0.85 < inside < 0.95


def test_means_and_bootstraps_hold_the_truth() -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(400):
        values = rng.exponential(size=20)
        pair = mean(values), bootstrap(lambda rows, v=values: float(v[rows].mean()), 20)
        held.append([low <= 1 <= high for _, low, high in pair])
    student, resampled = np.mean(held, axis=0)
    assert 0.82 < student < 0.95
    assert 0.82 < resampled < 0.95


def test_a_bootstrap_is_repeatable_and_survives_what_cannot_be_measured() -> None:
    def measure(rows: np.ndarray) -> float:
        return float("nan") if 0 not in rows else float(rows.mean())

    assert bootstrap(measure, 10) == bootstrap(measure, 10)
    assert np.isfinite(bootstrap(measure, 10)).all()
