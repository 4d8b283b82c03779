"""Where the fusion makes another vector than [z_1; ...; z_M], that is what strategies read."""

from dataclasses import replace

import numpy as np
import pytest

from strategies import STRATEGIES, InvalidPool
from tests.strategies.pools import make_pool

READERS = [
    *("badge", "coreset", "gcnal", "dbal", "kmeans", "typiclust", "max_herding", "u_herding"),
]


def run(name, pool, **keywords):
    options = {"epochs": 3} if name == "gcnal" else {}
    return STRATEGIES[name](pool, 10, np.random.default_rng(0), **options, **keywords)


def fused(pool):
    rng = np.random.default_rng(7)
    return replace(
        pool,
        fused_features=rng.normal(size=(pool.size, 5)),
        labelled_fused_features=rng.normal(size=(6, 5)),
    )


@pytest.mark.parametrize("name", READERS)
def test_the_fused_vector_is_read(name):
    pool = fused(make_pool())
    alone = replace(
        make_pool(modalities=["text"]),
        probabilities=pool.probabilities,
        held_out=pool.held_out,
        features={"text": pool.fused_features},
        labelled_features={"text": pool.labelled_fused_features},
    )
    found, expected = run(name, pool), run(name, alone)
    assert found.order.tolist() == expected.order.tolist()
    np.testing.assert_allclose(found.scores, expected.scores)
    assert found.order.tolist() != run(name, make_pool()).order.tolist()


def test_bmmal_weighs_the_modalities_own_vectors():
    pool = make_pool()
    assert run("bmmal", fused(pool)).order.tolist() == run("bmmal", pool).order.tolist()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"fused_features": np.ones((39, 5))}, "fused_features has shape"),
        ({"labelled_fused_features": np.ones((6, 4))}, "labelled_fused_features has shape"),
        ({"labelled_fused_features": np.full((6, 5), np.nan)}, "labelled_fused_features holds"),
    ],
)
def test_fused_vectors_that_do_not_fit_are_refused(change, named):
    with pytest.raises(InvalidPool, match=named):
        run("coreset", replace(fused(make_pool()), **change))
