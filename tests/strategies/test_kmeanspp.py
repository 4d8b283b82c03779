"""Blocked k-means++ has the law of the sequential one, and an answer for every degenerate pool."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from strategies import kmeanspp as module
from strategies.gradients import OuterProducts
from strategies.kmeanspp import kmeanspp, seed
from tests.strategies.pools import materialised, sequential_law, squared_distances

TRIALS = 2000


def factors(size=6, seed=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, 2)), rng.normal(size=(size, 3))


def p_value(draw, law, trials=TRIALS):
    counts = Counter(draw(np.random.default_rng((7, trial))) for trial in range(trials))
    assert set(counts) <= set(law), "an outcome that the sequential law excludes"
    outcomes = list(law)
    expected = np.array([law[outcome] for outcome in outcomes]) * trials
    observed = np.array([counts[outcome] for outcome in outcomes], dtype=float)
    rare = expected < 5
    if rare.any():
        expected = np.append(expected[~rare], expected[rare].sum())
        observed = np.append(observed[~rare], observed[rare].sum())
    return chisquare(observed, expected * observed.sum() / expected.sum()).pvalue


@pytest.mark.parametrize("block", [1, 2, 5, 64])
def test_law_is_the_sequential_one(block):
    left, right = factors()
    embeddings = OuterProducts(left, right)
    law = sequential_law(materialised(left, right), 4)
    assert p_value(lambda rng: tuple(kmeanspp(embeddings, 4, rng, block=block)), law) > 1e-3


@pytest.mark.parametrize("block", [3, 16])
def test_law_with_weights_and_duplicates(block):
    left, right = (np.repeat(part, [1, 2, 1, 3], axis=0) for part in factors(4))
    weights = np.array([1.0, 0.5, 2.0, 0.0, 1.0, 3.0, 1.0])
    law = sequential_law(materialised(left, right), 3, weights)
    embeddings = OuterProducts(left, right)

    def draw(rng):
        return tuple(kmeanspp(embeddings, 3, rng, weights=weights, block=block))

    assert p_value(draw, law) > 1e-3


def test_the_law_test_notices_a_block_without_rejection(monkeypatch):
    left, right = factors()
    embeddings = OuterProducts(left, right)

    def accept_all(embeddings, nearest, weight, rng, block):
        share = (nearest * weight).numpy()
        rows = rng.choice(len(share), block, p=share / share.sum())
        return list(dict.fromkeys(rows.tolist()))

    monkeypatch.setattr(module, "_walk", accept_all)
    law = sequential_law(materialised(left, right), 4)
    assert p_value(lambda rng: tuple(kmeanspp(embeddings, 4, rng, block=64)), law) < 1e-6


def test_first_centre_is_the_largest_norm_whatever_the_seed():
    left, right = factors(50)
    norms = (materialised(left, right) ** 2).sum(axis=1)
    for trial in range(5):
        chosen = kmeanspp(OuterProducts(left, right), 3, np.random.default_rng(trial))
        assert chosen[0] == np.argmax(norms)


def test_same_seed_same_choice():
    embeddings = OuterProducts(*factors(200))
    one, other = (kmeanspp(embeddings, 50, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_distances_are_those_of_the_materialised_gradients(dtype):
    left, right = (part.astype(dtype) for part in factors(300))
    seeding = seed(OuterProducts(left, right), 20, np.random.default_rng(0), block=8)
    points = materialised(left.astype(np.float64), right.astype(np.float64))
    truth = squared_distances(points, points[seeding.indices]).min(axis=1)
    scale = (points**2).sum(axis=1)
    assert len(set(seeding.indices)) == 20
    np.testing.assert_allclose(seeding.squared_distances, truth, atol=2e-6 * scale.max(), rtol=2e-3)


def test_exact_duplicates_in_float32_are_at_distance_zero():
    rng = np.random.default_rng(0)
    left = np.tile(rng.normal(size=(5, 30)).astype(np.float32), (40, 1))
    right = np.tile(rng.normal(size=(5, 900)).astype(np.float32) + 100, (40, 1))
    seeding = seed(OuterProducts(left, right), 5, rng)
    assert sorted(seeding.indices % 5) == [0, 1, 2, 3, 4]
    assert (seeding.squared_distances == 0).all()


def test_more_than_there_are_distinct_points_fills_by_index():
    left, right = (np.repeat(part, 3, axis=0) for part in factors(4))
    chosen = kmeanspp(OuterProducts(left, right), 9, np.random.default_rng(0))
    assert sorted(chosen[:4] // 3) == [0, 1, 2, 3]
    rest = [row for row in range(12) if row not in chosen[:4]]
    assert chosen[4:].tolist() == rest[:5]


def test_zero_gradients_are_chosen_by_index():
    chosen = kmeanspp(OuterProducts(np.zeros((7, 2)), np.ones((7, 3))), 4, np.random.default_rng(0))
    assert chosen.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("n", [6, 7, 100])
def test_n_at_least_the_pool_takes_everything_once(n):
    chosen = kmeanspp(OuterProducts(*factors()), n, np.random.default_rng(0))
    assert sorted(chosen) == list(range(6))


def test_one_point():
    assert kmeanspp(OuterProducts(*factors(1)), 1, np.random.default_rng(0)).tolist() == [0]


def test_rows_of_weight_zero_are_never_chosen():
    weights = np.array([0, 1, 1, 0, 1, 1.0])
    chosen = kmeanspp(OuterProducts(*factors()), 6, np.random.default_rng(0), weights=weights)
    assert sorted(chosen) == [1, 2, 4, 5]
    none = kmeanspp(OuterProducts(*factors()), 6, np.random.default_rng(0), weights=np.zeros(6))
    assert len(none) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "at least 1"),
        ({"block": 0}, "at least 1"),
        ({"weights": [1, 2]}, r"shape \(6,\)"),
        ({"weights": [1, 1, 1, 1, 1, -1]}, "not negative"),
        ({"weights": [1, 1, 1, 1, 1, np.nan]}, "finite"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kmeanspp(
            OuterProducts(*factors()), **{"n": 2, "rng": np.random.default_rng(0), **arguments}
        )


def test_tensors_choose_as_arrays_do():
    left, right = factors(100)
    arrays = kmeanspp(OuterProducts(left, right), 20, np.random.default_rng(1))
    tensors = OuterProducts(torch.from_numpy(left), torch.from_numpy(right))
    assert np.array_equal(arrays, kmeanspp(tensors, 20, np.random.default_rng(1)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_tensors_choose_distinct_rows():
    left, right = (torch.from_numpy(part).cuda() for part in factors(500))
    seeding = seed(OuterProducts(left, right), 50, np.random.default_rng(1))
    assert len(set(seeding.indices)) == 50


def test_one_row_is_the_longest_and_none_of_weight_zero_is_taken():
    left, right = factors(30)
    embeddings = OuterProducts(left, right)
    norms = (materialised(left, right) ** 2).sum(axis=1)
    rng = np.random.default_rng(0)
    assert kmeanspp(embeddings, 1, rng, block=1).tolist() == [norms.argmax()]
    weights = np.ones(30)
    weights[norms.argmax()] = 0
    found = seed(embeddings, 40, rng, weights=weights)
    assert sorted(found.indices) == sorted(set(range(30)) - {norms.argmax()})
    nobody = seed(embeddings, 3, rng, weights=np.zeros(30))
    assert nobody.indices.tolist() == []
    assert np.isinf(nobody.squared_distances).all()
