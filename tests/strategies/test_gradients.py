"""Factorised products and distances equal those of the materialised gradients."""

import numpy as np
import pytest
import torch

from strategies.factors import Dense, PseudoLabelResidual, WeightedBlocks
from strategies.gradients import OuterProducts
from strategies.rows import as_tensor, chunks, map_rows
from tests.strategies.pools import materialised, squared_distances


@pytest.fixture
def parts():
    rng = np.random.default_rng(1)
    return rng.normal(size=(60, 4)), [rng.normal(size=(60, 5)), rng.normal(size=(60, 3))]


def test_norms_and_distances(parts):
    left, (right, _) = parts
    embeddings = OuterProducts(left, right)
    points = materialised(left, right)
    np.testing.assert_allclose(embeddings.squared_norms.numpy(), (points**2).sum(axis=1))
    taken = embeddings.take(torch.arange(60))
    np.testing.assert_allclose(
        taken.squared_distances(taken).numpy(), squared_distances(points, points), atol=1e-12
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_weighted_blocks_are_the_weighted_concatenation(parts, weighted):
    left, blocks = parts
    weights = np.random.default_rng(2).random((60, 2))
    dense = np.hstack(blocks)
    if weighted:
        dense = np.hstack([w[:, None] * z for w, z in zip(weights.T, blocks, strict=True)])
    factor = WeightedBlocks(
        [Dense(block) for block in blocks], torch.from_numpy(weights) if weighted else None
    )
    other = torch.from_numpy(np.random.default_rng(3).normal(size=(7, 8)))
    part = slice(10, 40)
    np.testing.assert_allclose(factor.rows(part, torch.float64).numpy(), dense[part])
    np.testing.assert_allclose(factor.times(part, other).numpy(), dense[part] @ other.numpy().T)
    np.testing.assert_allclose(factor.squared_norms(part).numpy(), (dense[part] ** 2).sum(axis=1))
    assert factor.shape == (60, 8)
    assert OuterProducts(left, factor).size == 60


def test_residual_of_softmax_and_sigmoid():
    p = np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])
    softmax = PseudoLabelResidual(Dense(p), multilabel=False).rows(slice(0, 2), torch.float64)
    np.testing.assert_allclose(softmax.numpy(), [[0.2, -0.5, 0.3], [-0.6, 0.4, 0.2]])
    sigmoid = PseudoLabelResidual(Dense(p), multilabel=True).rows(slice(0, 2), torch.float64)
    np.testing.assert_allclose(sigmoid.numpy(), [[0.2, -0.5, 0.3], [0.4, 0.4, 0.2]])


def test_residual_leaves_the_probabilities_alone():
    p = np.array([[0.2, 0.8]])
    PseudoLabelResidual(Dense(p), multilabel=False).rows(slice(0, 1), torch.float64)
    assert p.tolist() == [[0.2, 0.8]]


def test_close_points_are_measured_in_float64():
    base = np.random.default_rng(0).normal(size=(1, 400)) * 100
    right = np.repeat(base, 8, axis=0)
    right[:, 0] += np.arange(8) * 1e-2
    right = right.astype(np.float32)
    embeddings = OuterProducts(np.ones((8, 1), np.float32), right)
    bound = torch.full((8,), torch.inf, dtype=torch.float64)
    nearest = embeddings.nearest_squared(slice(0, 8), embeddings.centres(torch.tensor([0])), bound)
    truth = squared_distances(right.astype(np.float64), right[:1].astype(np.float64))[:, 0]
    np.testing.assert_allclose(nearest.numpy(), truth, rtol=1e-3)


def test_factors_must_fit():
    with pytest.raises(ValueError, match="5 and 6 rows"):
        OuterProducts(np.ones((5, 2)), np.ones((6, 2)))
    with pytest.raises(ValueError, match="matrix"):
        OuterProducts(np.ones(5), np.ones((5, 2)))


def test_arrays_are_viewed_not_copied():
    array = np.ones((4, 3), np.float16)
    assert as_tensor(array).data_ptr() == array.__array_interface__["data"][0]


def test_reversed_integer_and_big_endian_arrays_are_read():
    array = np.arange(6.0).reshape(3, 2)
    assert as_tensor(array[::-1]).tolist() == array[::-1].tolist()
    assert as_tensor(np.arange(3)).tolist() == [0, 1, 2]
    assert as_tensor(array.astype(">f8")).tolist() == array.tolist()


def test_chunks_cover_every_row_once():
    parts = list(chunks(10_000, 4000))
    assert len(parts) > 1
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(10_000))


def test_map_rows_joins_chunks(monkeypatch):
    monkeypatch.setattr("strategies.rows.CHUNK_ELEMENTS", 8)
    values = np.random.default_rng(0).random((11, 3)).astype(np.float16)
    np.testing.assert_allclose(
        map_rows(lambda rows: rows.sum(axis=1), values), values.astype(float).sum(axis=1)
    )
