"""What the first batch is chosen by, before anything is learnt."""

from __future__ import annotations

import numpy as np
import pytest

from model import untrained
from model.inputs import Column, Inputs
from model.presets import preset
from model.schema import Target
from model.untrained import look_untrained, standardised
from strategies import cold_start
from tests.model.conftest import TargetKind, inputs_of, vector_schema

SCHEMA = vector_schema(("a", "b"), Target("y", TargetKind.CLASSIFICATION, ("no", "yes")))


def arrays(size: int = 60) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [100 + 5 * rng.normal(size=(size, 4)), 0.01 * rng.normal(size=(size, 3))]


def test_vectors_are_standardised_on_those_that_are_there():
    present = np.ones((60, 2), bool)
    present[:10, 1] = False
    pool = look_untrained(inputs_of(arrays(), present), SCHEMA, preset("quick").preparation)
    for column, name in enumerate(("a", "b")):
        here = pool.features[name][present[:, column]]
        np.testing.assert_allclose(here.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(here.std(axis=0), 1, atol=1e-4)
    assert (pool.features["b"][:10] == 0).all()
    assert not pool.pretrained


def test_pieces_make_no_difference(monkeypatch):
    whole = look_untrained(inputs_of(arrays()), SCHEMA, preset("quick").preparation)
    monkeypatch.setattr(untrained, "_CHUNK", 32)
    pieces = look_untrained(inputs_of(arrays()), SCHEMA, preset("quick").preparation)
    np.testing.assert_allclose(pieces.features["a"], whole.features["a"], atol=1e-5)


def column(values: np.ndarray) -> Column:
    size = len(values)
    where = np.zeros(size, np.int32), np.arange(size)
    return Column("x", values.shape[1:], (values,), *where)


def test_pictures_are_projected_and_keep_their_distances():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (40, 3, 20, 20), dtype=np.uint8)
    found = standardised(column(pictures), np.ones(40, bool))
    flat = pictures.reshape(40, -1).astype(float)
    flat = flat - flat.mean(axis=0)
    flat /= np.sqrt((flat**2).mean())
    assert found.shape == (40, 512)
    apart = np.linalg.norm(found[0] - found[1:], axis=1)
    np.testing.assert_allclose(apart, np.linalg.norm(flat[0] - flat[1:], axis=1), rtol=0.2)


@pytest.mark.parametrize(
    "values", [np.zeros((9, 30), np.uint16), np.zeros((9, 2**15 + 1), np.float16)]
)
def test_tokens_and_recordings_are_no_vectors(values):
    assert standardised(column(values), np.ones(9, bool)) is None
    inputs = Inputs(9, np.ones((9, 2), bool), (), (column(values), column(np.eye(9)[:, :3])))
    pool = look_untrained(inputs, SCHEMA, preset("quick").preparation)
    assert (pool.features["a"] == 0).all()
    assert (pool.features["b"] != 0).any()
    alone = Inputs(9, np.ones((9, 2), bool), (), (column(values), column(values)))
    assert look_untrained(alone, SCHEMA, preset("quick").preparation).features is None


def test_the_first_batch_takes_near_duplicates_once():
    rng = np.random.default_rng(0)
    distinct = [rng.normal(size=(12, 4)), rng.normal(size=(12, 3))]
    copies = [np.repeat(z, 10, axis=0) for z in distinct]
    copies = [z + 1e-3 * rng.normal(size=z.shape) for z in copies]
    pool = look_untrained(inputs_of(copies), SCHEMA, preset("quick").preparation)
    order = cold_start(pool)(pool, 12, rng).order
    assert len(set(order[:12] // 10)) == 12
