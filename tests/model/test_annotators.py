"""Agreement between annotators, against Krippendorff's own example and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from model.annotators import alpha, coincidences, of_classes, with_others

# Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section C; 0: no answer.
ANSWERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)
COUNTS = (ANSWERS.T[:, :, None] == np.arange(1, 6)).sum(axis=1)


def test_alpha_is_what_krippendorff_prints() -> None:
    pairs = coincidences(COUNTS)
    assert np.diag(pairs) == pytest.approx([7, 10, 8, 4, 3])
    assert pairs.sum() == pytest.approx(40)
    assert alpha(pairs) == pytest.approx(0.743, abs=5e-4)


def test_each_class_has_its_share_of_pairs_that_agree() -> None:
    found = of_classes(coincidences(COUNTS))
    assert found == pytest.approx([7 / 9, 10 / 13, 8 / 10, 4 / 5, 1])
    assert np.isnan(of_classes(coincidences(np.array([[2, 0]])))[1])
    assert np.isnan(alpha(coincidences(np.array([[2, 0], [1, 1]])[:1])))
    assert np.isnan(alpha(coincidences(np.array([[1, 0]]))))


def test_an_annotator_is_compared_with_all_who_answered_the_same() -> None:
    found = with_others(COUNTS, ANSWERS[2] - 1)
    assert found is not None
    # 2: none of 3; 3, 4, 5, 7, 9: all; 6: none; 8: none; 10: both; 11: the other one
    assert found[0] == pytest.approx(7 / 10)
    assert found[1] < 0.7 < found[2] <= 1
    assert with_others(COUNTS[:1], ANSWERS[0, :1] - 1) is None
