"""Entropy, margin, least confidence, BALD and DeepFool against loops over tasks and classes."""

from math import log

import numpy as np
import pytest

from strategies import STRATEGIES, LinearHead, TargetKind
from tests.strategies.pools import make_pool

KINDS = [TargetKind.CLASSIFICATION, TargetKind.MULTILABEL]


def run(name, pool):
    return STRATEGIES[name](pool, 10, np.random.default_rng(0))


def plogp(p):
    return p * log(p) if p > 0 else 0.0


def entropy(p, kind):
    if kind is TargetKind.MULTILABEL:
        return -sum(plogp(q) + plogp(1 - q) for q in p)
    return -sum(plogp(q) for q in p)


def margin(p, kind):
    if kind is TargetKind.MULTILABEL:
        return sum(abs(q - (1 - q)) for q in p) / len(p)
    first, second = sorted(p)[::-1][:2]
    return first - second


def confidence(p, kind):
    return sum(max(q, 1 - q) for q in p) / len(p) if kind is TargetKind.MULTILABEL else max(p)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("entropy", entropy),
        ("margin", lambda p, kind: 1 - margin(p, kind)),
        ("least_confidence", lambda p, kind: 1 - confidence(p, kind)),
    ],
)
def test_scores_of_one_prediction(name, score, kind):
    pool = make_pool(target=kind)
    expected = [score(p.tolist(), kind) for p in pool.probabilities]
    selection = run(name, pool)
    np.testing.assert_allclose(selection.scores, expected, atol=1e-12)
    assert selection.order.tolist() == sorted(range(40), key=lambda row: -expected[row])


@pytest.mark.parametrize("kind", KINDS)
def test_bald_is_entropy_of_the_mean_less_mean_of_the_entropies(kind):
    pool = make_pool(target=kind)
    expected = []
    for row in range(40):
        passes = pool.mc_probabilities[:, row]
        mean = passes.sum(axis=0) / len(passes)
        each = [entropy(p.tolist(), kind) for p in passes]
        expected.append(entropy(mean.tolist(), kind) - sum(each) / len(each))
    np.testing.assert_allclose(run("bald", pool).scores, expected, atol=1e-12)


def test_bald_of_equal_passes_is_zero_even_for_certain_ones():
    certain = np.zeros((3, 40, 5))
    certain[:, :, 1] = 1
    assert (run("bald", make_pool(mc_probabilities=certain)).scores == 0).all()


def test_bald_of_a_regression_is_the_variance_of_the_passes():
    pool = make_pool(target=TargetKind.REGRESSION)
    expected = [np.var(pool.mc_probabilities[:, row, 0]) for row in range(40)]
    np.testing.assert_allclose(run("bald", pool).scores, expected)


def test_dbal_of_a_regression_keeps_where_the_passes_differ_most():
    pool = make_pool(target=TargetKind.REGRESSION)
    variance = np.var(pool.mc_probabilities[:, :, 0], axis=0)
    selection = STRATEGIES["dbal"](pool, 5, np.random.default_rng(0), beta=2)
    np.testing.assert_allclose(selection.scores, variance)
    kept = set(np.argsort(-variance)[:10])
    assert set(selection.order[:5]) <= kept
    assert (np.diff(variance[selection.order[:5]]) <= 0).all()
    assert (np.diff(variance[selection.order[5:]]) <= 0).all()


def test_bald_leaves_no_small_negative_number():
    passes = np.repeat(make_pool(dtype=np.float32).probabilities[None], 7, axis=0)
    assert (run("bald", make_pool(mc_probabilities=passes)).scores >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_deepfool_moves_a_task_onto_its_nearest_boundary(kind):
    rng = np.random.default_rng(0)
    weight, features = rng.normal(size=(4, 6)), rng.normal(size=(40, 6))
    pool = make_pool(target=kind, linear_head=LinearHead(weight, features @ weight.T))
    distance = run("deepfool", pool).components["boundary_distance"]
    for z, found in zip(features, distance, strict=True):
        f = weight @ z
        top = int(np.argmax(f))
        moves = []
        for k in range(4):
            normal = weight[k] if kind is TargetKind.MULTILABEL else weight[top] - weight[k]
            if kind is TargetKind.CLASSIFICATION and k == top:
                continue
            move = -(normal @ z) / (normal @ normal) * normal  # onto the plane normal . z = 0
            assert abs(normal @ (z + move)) < 1e-9
            moves.append(np.sqrt(move @ move))
        assert found == pytest.approx(min(moves))


def test_deepfool_ranks_the_nearest_first():
    selection = run("deepfool", make_pool())
    distance = selection.components["boundary_distance"]
    assert (np.diff(distance[selection.order]) >= 0).all()


def test_deepfool_without_any_boundary():
    head = LinearHead(np.ones((3, 2)), np.tile([1.0, 2.0, 3.0], (40, 1)))
    selection = run("deepfool", make_pool(linear_head=head))
    assert selection.order.tolist() == list(range(40))
    assert np.isfinite(selection.scores).all()


def test_deepfool_on_the_boundary_of_equal_classes():
    head = LinearHead(np.ones((3, 2)), np.zeros((40, 3)))
    assert (run("deepfool", make_pool(linear_head=head)).scores == 1).all()


def test_certain_predictions_have_no_entropy_and_no_negative_zero():
    certain = np.eye(5)[np.arange(40) % 5]
    scores = run("entropy", make_pool(probabilities=certain)).scores
    assert (scores == 0).all()
    assert not np.signbit(scores).any()


def test_half_precision_is_scored_in_double():
    p = make_pool(dtype=np.float16).probabilities
    expected = [entropy(row.astype(float).tolist(), KINDS[0]) for row in p]
    np.testing.assert_allclose(run("entropy", make_pool(probabilities=p)).scores, expected)
