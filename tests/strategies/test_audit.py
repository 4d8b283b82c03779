"""What chance chooses: a fixed random order, its share of the queue, and a sample without bias."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from strategies.audit import GAPS, places, sample, with_drawn


def test_places_are_even_and_independent_and_stay() -> None:
    tasks = np.arange(1, 20_001)
    found = places(tasks, (0, 7))
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(found, places(tasks, (1, 7)))[0, 1]) < 0.03
    assert abs(np.corrcoef(found, places(tasks, (0, 8)))[0, 1]) < 0.03
    np.testing.assert_array_equal(places([5, 19_999], (0, 7)), found[[4, 19_998]])
    assert len(np.unique(found)) == len(found)


@given(
    st.integers(1, 300), st.floats(0.05, 1), st.integers(1, 300), st.floats(0, 1, exclude_max=True)
)
def test_a_share_of_what_is_served_is_drawn_evenly(
    size: int, share: float, top: int, start: float
) -> None:
    rng = np.random.default_rng(size)
    order, place = rng.permutation(size), rng.random(size)
    found, drawn = with_drawn(order, place, share, top, start)
    assert sorted(found) == sorted(order)
    served = found[: min(top, size)]
    assert abs(len(drawn) - share * len(served)) < 1
    assert set(drawn) <= set(served)
    np.testing.assert_array_equal(drawn, np.argsort(place)[: len(drawn)], "the first in line")
    at = np.flatnonzero(np.isin(served, drawn))
    assert (np.diff(at) <= 1 / share + 1).all(), "no long stretch without one"
    others = found[~np.isin(found, drawn)]
    np.testing.assert_array_equal(others, order[~np.isin(order, drawn)], "the rest as it was")


def test_without_a_share_the_order_stays() -> None:
    order = np.array([2, 0, 1])
    found, drawn = with_drawn(order, np.array([0.1, 0.2, 0.3]), 0.0, 3, 0.5)
    np.testing.assert_array_equal(found, order)
    assert len(drawn) == 0


def test_the_share_is_kept_where_rounds_come_faster_than_draws() -> None:
    rng = np.random.default_rng(0)
    order, place = rng.permutation(500), rng.random(500)
    served = [with_drawn(order, place, 0.1, 200, rng.random()) for _ in range(2000)]
    counts = [np.isin(found[:3], drawn).sum() for found, drawn in served]
    assert np.mean(counts) == pytest.approx(0.3, abs=0.03)


def test_the_sample_ends_with_what_was_drawn_and_labelled() -> None:
    place = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    labelled = np.array([True, True, True, False, True])
    drawn = np.array([True, False, True, False, True])
    found = sample(place, labelled, drawn)
    assert found.tolist() == [True, True, True, False, False]  # a fifth is more than a gap
    assert not sample(place, labelled, np.zeros(5, bool)).any()
    assert not sample(place, np.zeros(5, bool), drawn).any()


def test_a_few_gaps_do_not_stop_it() -> None:
    place = np.arange(40) / 40
    labelled = np.ones(40, bool)
    labelled[[2, 30]] = False
    found = sample(place, labelled, np.ones(40, bool))
    assert found.sum() == 38
    assert GAPS > 2 / 40
    labelled[:10] = False
    assert not sample(place, labelled, np.ones(40, bool)).any()


def test_the_sample_is_fair_although_the_strategy_takes_the_hard_tasks_first() -> None:
    """Half of the tasks are hard; the strategy takes these: what it leaves has few of them."""
    shares, left = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        hard = rng.permutation(400) < 200
        place = places(np.arange(400), (seed, 1))
        labelled, drawn = np.zeros((2, 400), bool)
        for _ in range(10):
            free = np.flatnonzero(~labelled)
            order = free[np.argsort(~hard[free], kind="stable")]
            found, chosen = with_drawn(order, place, 0.2, 40, rng.random())
            drawn[chosen] = True
            labelled[found[:20]] = True
        found = sample(place, labelled, drawn)
        assert found.sum() >= 20
        shares.append(hard[found].mean())
        left.append(hard[labelled].mean())
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert np.mean(left) > 0.8
