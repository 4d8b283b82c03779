"""Several questions about one task, against everything written out."""

from dataclasses import replace

import numpy as np
import pytest

from strategies import STRATEGIES, Pool, TargetKind
from strategies.badge import gradient_embeddings
from strategies.errors import InvalidPool
from strategies.pool import Further, LinearHead
from strategies.shapley import contributions, modulation_weights
from tests.strategies.pools import make_pool, materialised, residual

CLASS, SEVERAL, NUMBER = (
    TargetKind.CLASSIFICATION,
    TargetKind.MULTILABEL,
    TargetKind.REGRESSION,
)


def further(pool: Pool, kind: TargetKind, classes: int, seed: int) -> Further:
    rng = np.random.default_rng(seed)
    if kind is CLASS:
        passes = rng.dirichlet(np.ones(classes), (4, pool.size))
    elif kind is SEVERAL:
        passes = rng.random((4, pool.size, classes))
    else:
        passes = rng.normal(size=(4, pool.size, 1))
    head = LinearHead(rng.normal(size=(classes, 5)), rng.normal(size=(pool.size, classes)))
    return Further(kind, passes.mean(axis=0), passes, head)


def several(*kinds: TargetKind) -> Pool:
    """A pool whose questions have 2, 3, ... further classes."""
    pool = make_pool(target=CLASS)
    rng = np.random.default_rng(5)
    passes = rng.dirichlet(np.ones(pool.probabilities.shape[1]), (4, pool.size))
    head = LinearHead(rng.normal(size=(3, 5)), rng.normal(size=(pool.size, 3)))
    more = tuple(further(pool, kind, 2 + place, place) for place, kind in enumerate(kinds))
    return replace(pool, mc_probabilities=passes, linear_head=head, further=more)


def alone(pool: Pool) -> list[Pool]:
    first = replace(pool, further=())
    return [
        first,
        *(
            replace(
                first,
                target=one.target,
                probabilities=one.probabilities,
                mc_probabilities=one.mc_probabilities,
                linear_head=one.linear_head,
                held_out=one.held_out,
            )
            for one in pool.further
        ),
    ]


def ranked(pool: Pool, name: str, **options):
    return STRATEGIES[name](pool, 8, np.random.default_rng(0), **options)


def test_embeddings_are_the_questions_embeddings_side_by_side() -> None:
    pool = several(SEVERAL, CLASS)
    weights = modulation_weights(contributions(pool.coalitions, pool.modalities))
    z = np.concatenate(
        [pool.features[name] * weights[:, [m]] for m, name in enumerate(pool.modalities)], axis=1
    )
    whole = np.concatenate([materialised(residual(one), z) for one in alone(pool)], axis=1)
    found = gradient_embeddings(pool, weights)
    np.testing.assert_allclose(found.squared_norms, (whole**2).sum(axis=1), rtol=1e-5)
    everything = found.take(slice(None))
    distances = ((whole[:, None] - whole[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(
        everything.squared_distances(everything), distances, rtol=1e-4, atol=1e-6
    )
    chosen = ranked(pool, "bmmal")
    np.testing.assert_allclose(chosen.scores, np.sqrt((whole**2).sum(axis=1)), rtol=1e-5)
    assert chosen.order[0] == np.argmax(chosen.scores)


@pytest.mark.parametrize("name", ["entropy", "margin", "least_confidence", "bald"])
def test_uncertainties_are_means_of_shares(name: str) -> None:
    pool = several(SEVERAL, CLASS)
    expected = 0.0
    for one in alone(pool):
        classes = one.probabilities.shape[1]
        most = classes * np.log(2) if one.target is SEVERAL else np.log(classes)
        share = ranked(one, name).scores / (most if name in ("entropy", "bald") else 1)
        expected = expected + share / 3
    np.testing.assert_allclose(ranked(pool, name).scores, expected, rtol=1e-9)


def test_the_nearest_boundary_of_any_question_counts() -> None:
    pool = several(SEVERAL, CLASS)
    best = np.max([ranked(one, "deepfool").scores for one in alone(pool)], axis=0)
    np.testing.assert_allclose(ranked(pool, "deepfool").scores, best)


@pytest.mark.parametrize("name", ["entropy", "badge", "bmmal", "bald", "margin"])
def test_numbers_have_no_say_beside_classes(name: str) -> None:
    pool = several(NUMBER, CLASS)
    without = replace(pool, further=pool.further[1:])
    np.testing.assert_array_equal(ranked(pool, name).order, ranked(without, name).order)


def test_herding_weighs_by_the_mean_uncertainty() -> None:
    pool = several(CLASS)
    parts = [ranked(one, "u_herding").components["uncertainty"] for one in alone(pool)]
    found = ranked(pool, "u_herding").components["uncertainty"]
    np.testing.assert_allclose(found, np.mean(parts, axis=0))


def test_a_further_question_is_checked_too() -> None:
    pool = several(CLASS)
    short = replace(pool.further[0], probabilities=pool.further[0].probabilities[:-1])
    with pytest.raises(InvalidPool, match="shape"):
        ranked(replace(pool, further=(short,)), "entropy")
    missing = replace(pool.further[0], probabilities=None)
    with pytest.raises(InvalidPool, match="missing"):
        ranked(replace(pool, further=(missing,)), "entropy")
