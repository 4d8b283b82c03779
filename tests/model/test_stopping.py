"""The stopping hint: agreement against scikit-learn, and what the hint says when."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from model.stopping import AGREEMENT, Step, compare, hint
from strategies.pool import TargetKind

RNG = np.random.default_rng(0)


def test_agreement_of_classes_is_cohens_kappa() -> None:
    before = RNG.integers(0, 4, 200)
    after = np.where(RNG.random(200) < 0.3, RNG.integers(0, 4, 200), before)
    agreement, changed = compare(TargetKind.CLASSIFICATION, before, after)
    assert agreement == pytest.approx(cohen_kappa_score(before, after))
    assert changed == pytest.approx((before != after).mean())


def test_agreement_of_numbers_falls_with_a_shift() -> None:
    before = RNG.standard_normal(300)
    same, still = compare(TargetKind.REGRESSION, before, before.copy(), 6.0)
    moved, share = compare(TargetKind.REGRESSION, before, before + 0.6, 6.0)
    assert same == pytest.approx(1.0)
    assert still == 0.0
    assert moved < 0.9
    assert share == pytest.approx(0.1)


def test_constant_predictions_agree() -> None:
    one = np.zeros(10, np.int64)
    assert compare(TargetKind.CLASSIFICATION, one, one) == (1.0, 0.0)


def test_predictions_of_different_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        compare(TargetKind.CLASSIFICATION, np.zeros(3), np.zeros(4))


def test_no_hint_from_too_few_rounds() -> None:
    assert hint([Step(100, 1.0, 0.0)]) is None


def test_hint_looks_at_the_last_rounds_only() -> None:
    early, late = Step(100, 0.3, 0.6), Step(200, AGREEMENT + 0.01, 0.02)
    flat = hint([early, early, late, late])
    learning = hint([late, late, early, early])
    assert flat is not None
    assert learning is not None
    assert flat.flattened
    assert not learning.flattened
    assert flat.likely < flat.most == pytest.approx(0.02)
    assert "flattened" in flat.text
    assert "still learning" in learning.text
