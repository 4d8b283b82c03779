"""Vectors on a plane: what differs most is seen, and an axis fills the picture."""

from __future__ import annotations

import numpy as np

from model.plane import plane


def test_the_two_directions_that_differ_most_are_the_axes():
    rng = np.random.default_rng(0)
    hidden = rng.uniform(-1, 1, (2000, 2)) * [5, 2]
    turn = np.linalg.qr(rng.normal(size=(30, 30)))[0][:2]
    found = plane((hidden @ turn + rng.normal(size=(2000, 30)) * 0.1 + 7).astype(np.float32))
    for axis in range(2):
        alike = abs(np.corrcoef(found[:, axis], hidden[:, axis])[0, 1])
        assert alike > 0.99
    assert found.min() == 0
    assert found.max() == 1


def test_one_that_lies_far_out_does_not_press_the_others_together():
    vectors = np.random.default_rng(0).normal(size=(1000, 5)).astype(np.float32)
    vectors[0] = 1e6
    found = plane(vectors)
    assert np.isfinite(found).all()
    assert {0.0, 1.0} & set(found[0].tolist())
    assert found[1:, 1].std() > 0.15


def test_nothing_to_tell_apart_lies_in_the_middle():
    assert plane(np.ones((5, 3), np.float32)).tolist() == [[0.5, 0.5]] * 5
    assert plane(np.zeros((0, 3), np.float32)).shape == (0, 2)
    assert plane(np.zeros((4, 0), np.float32)).tolist() == [[0.5, 0.5]] * 4
    line = plane(np.arange(6, dtype=np.float32)[:, None])
    assert (line[:, 1] == 0.5).all()
    assert np.ptp(line[:, 0]) == 1


def test_which_end_is_which_does_not_depend_on_the_order():
    rng = np.random.default_rng(3)
    vectors = rng.exponential(size=(500, 8)).astype(np.float32) * np.arange(1, 9, dtype=np.float32)
    order = rng.permutation(500)
    np.testing.assert_allclose(plane(vectors)[order], plane(vectors[order]), atol=0.02)
