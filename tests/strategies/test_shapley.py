"""Shapley values, contributions, dominance and weights (BMMAL Eq. 5, 10, 12, 14)."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strategies.shapley import contributions, dominance, modulation_weights, shapley_values
from tests.strategies.pools import every_subset

NAMES = ("a", "b", "c", "d")


def outcomes(draw_values, count):
    return dict(zip(every_subset(NAMES[:count]), draw_values, strict=True))


@st.composite
def games(draw, smallest=1):
    count = draw(st.integers(smallest, 4))
    values = draw(arrays(np.float64, (2**count, 3), elements=st.floats(0, 1)))
    return NAMES[:count], outcomes(values, count)


def test_two_modalities_by_hand():
    game = {
        frozenset(): np.array([0.1]),
        frozenset("a"): np.array([0.5]),
        frozenset("b"): np.array([0.2]),
        frozenset("ab"): np.array([0.9]),
    }
    # phi_a = ((.9 - .2) + (.5 - .1)) / 2, phi_b = ((.9 - .5) + (.2 - .1)) / 2
    np.testing.assert_allclose(shapley_values(game), [[0.55, 0.25]])
    np.testing.assert_allclose(contributions(game), [[0.6875, 0.3125]])


@given(games())
def test_efficiency(game):
    names, values = game
    total = values[frozenset(names)] - values[frozenset()]
    np.testing.assert_allclose(shapley_values(values, names).sum(axis=1), total, atol=1e-12)


@given(games())
def test_equals_the_mean_over_all_arrival_orders(game):
    names, values = game
    expected = np.zeros((3, len(names)))
    orders = list(permutations(names))
    for order in orders:
        for place, name in enumerate(order):
            before = frozenset(order[:place])
            expected[:, names.index(name)] += values[before | {name}] - values[before]
    np.testing.assert_allclose(shapley_values(values, names), expected / len(orders), atol=1e-12)


@given(games())
def test_contributions_are_shares_and_weights_follow_them(game):
    names, values = game
    share = contributions(values, names)
    weights = modulation_weights(share)
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert ((weights >= 0) & (weights <= 1)).all()
    np.testing.assert_allclose(weights.max(axis=1), 1)
    for row, weight in zip(share, weights, strict=True):  # Guideline 3: the order is kept
        assert (np.diff(weight[np.argsort(row)]) >= 0).all()
    assert (dominance(share) >= 0).all()


@given(games())
def test_columns_follow_the_modalities(game):
    names, values = game
    turned = contributions(values, names[::-1])
    np.testing.assert_allclose(turned[:, ::-1], contributions(values, names), atol=1e-12)


@pytest.mark.parametrize(
    ("share", "weights", "rho"),
    [
        ([0.5, 0.5], [1, 1], 0),
        ([0.75, 0.25], [1, 0.5], 0.5),
        ([0.1, 0.9], [0.2, 1], 0.8),
        ([1, 0], [1, 0], 1),
        ([0.5, 0.3, 0.2], [1, 0.8, 0.7], 0.5),
        ([1.0], [1], 0),
    ],
)
def test_equation_14_by_hand(share, weights, rho):
    np.testing.assert_allclose(modulation_weights(np.array([share])), [weights])
    np.testing.assert_allclose(dominance(np.array([share])), [rho])


def test_equation_14_for_two_is_twice_the_weaker_share():
    share = np.random.default_rng(0).dirichlet([1, 1], 50)
    np.testing.assert_allclose(modulation_weights(share).min(axis=1), 2 * share.min(axis=1))


def test_no_modality_matters_means_equal_shares():
    game = outcomes(np.full((8, 2), 0.3), 3)
    np.testing.assert_array_equal(contributions(game), np.full((2, 3), 1 / 3))
    np.testing.assert_array_equal(modulation_weights(contributions(game)), np.ones((2, 3)))


def test_columns_come_in_order_of_the_singletons():
    game = {
        frozenset("ab"): np.array([1.0]),
        frozenset("b"): np.array([1.0]),
        frozenset("a"): np.array([0.0]),
        frozenset(): np.array([0.0]),
    }
    np.testing.assert_allclose(contributions(game), [[1, 0]])


def test_a_missing_subset_is_named():
    with pytest.raises(ValueError, match=r"\{'a', 'b'\}|\{'b', 'a'\}"):
        contributions({frozenset(): np.ones(1), frozenset("a"): np.ones(1), frozenset("b"): 0})
