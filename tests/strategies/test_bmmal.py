"""BMMAL against materialised, modulated gradients; its paper's guidelines as properties."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import STRATEGIES, Pool, TargetKind
from strategies.shapley import contributions, modulation_weights
from tests.strategies.pools import (
    make_pool,
    materialised,
    residual,
    squared_distances,
)


def run(pool, n=10, seed=0, name="bmmal"):
    return STRATEGIES[name](pool, n, np.random.default_rng(seed))


def modulated(pool):
    """(N, K D): a (x) [w_m z_m] written out, with Phi and w by hand from Eq. 10, 12 and 14."""
    rows = []
    for row in range(pool.size):
        value = {key: float(outcome[row]) for key, outcome in pool.coalitions.items()}
        one, two = pool.modalities
        both, none = frozenset((one, two)), frozenset()
        phi = np.array(
            [
                value[both] - value[frozenset([two])] + value[frozenset([one])] - value[none],
                value[both] - value[frozenset([one])] + value[frozenset([two])] - value[none],
            ]
        )
        share = np.abs(phi) / np.abs(phi).sum() if np.abs(phi).sum() else np.array([0.5, 0.5])
        weak = 1 - abs(share[0] - share[1])
        weights = (1, weak) if share[0] > share[1] else (weak, 1)
        rows.append(
            np.concatenate(
                [
                    weight * pool.features[name][row].astype(float)
                    for weight, name in zip(weights, pool.modalities, strict=True)
                ]
            )
        )
    return materialised(residual(pool), np.array(rows))


@pytest.mark.parametrize("kind", [TargetKind.CLASSIFICATION, TargetKind.MULTILABEL])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_follows_the_materialised_modulated_gradients(kind, dtype):
    pool = make_pool(target=kind, dtype=dtype, absent=[(3, "text"), (4, "image")])
    gradients = modulated(pool)
    norms = np.sqrt((gradients**2).sum(axis=1))
    selection = run(pool, 8)
    np.testing.assert_allclose(selection.scores, norms, rtol=1e-5)
    assert selection.order[0] == np.argmax(norms)
    left = squared_distances(gradients, gradients[selection.order[:8]]).min(axis=1)
    rest = left[selection.order[8:]]
    assert (np.diff(rest) <= 1e-5 * rest.max()).all()


def test_components_explain_the_ranking():
    pool = make_pool()
    selection = run(pool)
    share = contributions(pool.coalitions, pool.modalities)
    np.testing.assert_allclose(selection.components["contribution:image"], share[:, 0])
    np.testing.assert_allclose(selection.components["contribution:text"], share[:, 1])
    np.testing.assert_allclose(
        selection.components["dominance"], np.abs(share[:, 0] - share[:, 1]), atol=1e-12
    )
    assert np.array_equal(selection.components["gradient_magnitude"], selection.scores)


def test_an_absent_modality_contributes_nothing():
    selection = run(make_pool(absent=[(3, "text")]))
    assert selection.components["contribution:text"][3] == 0
    assert selection.components["contribution:image"][3] == 1


def test_balanced_tasks_are_ranked_as_badge_ranks_them():
    pool = make_pool()
    even = replace(pool, coalitions={key: np.full(40, 0.5) for key in pool.coalitions})
    assert run(even, 12).order.tolist() == run(pool, 12, name="badge").order.tolist()


def test_one_modality_is_badge():
    pool = make_pool(modalities=["text"])
    assert run(pool, 12).order.tolist() == run(pool, 12, name="badge").order.tolist()


def balanced_pool(shares, sizes=(1.0, 1.0)):
    """Tasks alike in everything but their contributions, (N, 2)."""
    shares = np.asarray(shares, dtype=float)
    count = len(shares)
    value = {
        frozenset(): np.zeros(count),
        frozenset("a"): shares[:, 0],
        frozenset("b"): shares[:, 1],
        frozenset("ab"): shares.sum(axis=1),  # additive: phi is the share itself
    }
    return Pool(
        count,
        ("a", "b"),
        probabilities=np.tile([0.6, 0.3, 0.1], (count, 1)),
        features={
            "a": np.tile([sizes[0], 0.0], (count, 1)),
            "b": np.tile([0.0, sizes[1], 0.0], (count, 1)),
        },
        coalitions=value,
    )


@given(
    st.floats(0.5, 1),
    st.floats(0.5, 1),
    st.booleans(),
    st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)),
)
def test_guideline_1_more_balanced_scores_higher(one, other, flip, sizes):
    """Equal CAL score and the same dominant modality: the more balanced task scores higher."""
    shares = np.array([[one, 1 - one], [other, 1 - other]])
    pool = balanced_pool(shares[:, ::-1] if flip else shares, sizes)
    plain, balanced = run(pool, 1, name="badge").scores, run(pool, 1).scores
    assert plain[0] == plain[1]
    if abs(one - other) > 1e-6:
        assert (balanced[0] > balanced[1]) == (one < other)
    assert (balanced <= plain * (1 + 1e-12)).all()


def test_guideline_1_is_strict_across_dominant_modalities_of_equal_length():
    scores = run(balanced_pool([[0.5, 0.5], [0.3, 0.7], [0.8, 0.2], [0, 1]]), 1).scores
    assert (np.diff(scores) < 0).all()


def test_guideline_2_scores_move_towards_the_weaker_modality():
    """Eq. 9 as we read it, on the average scores of the tasks that each modality dominates.

    Modality a is the stronger one: it dominates most tasks, and dominates them more. The ratio
    of average scores (a's tasks to b's) is smaller after modulation, and so is a's share of what
    gets chosen.
    """
    rng = np.random.default_rng(0)
    strong = rng.random(400) < 0.8
    first = np.where(strong, rng.uniform(0.85, 1.0, 400), rng.uniform(0.35, 0.45, 400))
    pool = balanced_pool(np.stack([first, 1 - first], axis=1))
    pool = replace(
        pool,
        features={
            name: np.abs(rng.normal(size=(400, 20))) / 4 + rng.normal(size=(400, 20))
            for name in ("a", "b")
        },
    )
    plain, balanced = run(pool, 50, name="badge"), run(pool, 50)

    def ratio(selection):
        return selection.scores[strong].mean() / selection.scores[~strong].mean()

    assert ratio(balanced) < 0.95 * ratio(plain)
    chosen = [
        np.mean([strong[run(pool, 50, seed, name).order[:50]].mean() for seed in range(10)])
        for name in ("bmmal", "badge")
    ]
    assert chosen[0] < chosen[1]


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_guideline_3_a_task_keeps_the_order_of_its_modalities(outcomes):
    """The modality that contributes more keeps the longer (or equal) block."""
    value = {frozenset(): np.zeros(1)}
    for name, outcome in zip("ab", outcomes, strict=False):
        value[frozenset(name)] = np.array([outcome])
    value[frozenset("ab")] = np.array([outcomes[2]])
    share = contributions(value)[0]
    weights = modulation_weights(share[None])[0]
    assert (share[0] >= share[1]) <= (weights[0] >= weights[1])
    assert (share[1] >= share[0]) <= (weights[1] >= weights[0])
    assert weights.max() == 1
