"""What must not matter: the scale of features, the order of tasks, the order of modalities."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import STRATEGIES, LayerGradients, LinearHead, Pool
from tests.strategies.pools import make_pool

# Their order follows from the pool alone.
DETERMINISTIC = [
    *("least_confidence", "margin", "entropy", "bald", "coreset", "deepfool"),
    *("grace", "grace_i", "grace_ir"),
]
# They draw rows, so another order of tasks draws others, but their scores may not change.
DRAWING = ["badge", "bmmal", "dbal"]
FEATURE_BASED = ["coreset", "badge", "bmmal", "gcnal", "typiclust", "kmeans"]
seeds = st.integers(0, 1000)
few = settings(max_examples=10)


def run(name, pool, n=10, **keywords):
    options = {"epochs": 3} if name == "gcnal" else {}
    return STRATEGIES[name](pool, n, np.random.default_rng(0), **options, **keywords)


def permuted(pool: Pool, order: np.ndarray) -> Pool:
    """The same tasks in another order."""

    def layer(value: LayerGradients) -> LayerGradients:
        return LayerGradients(value.inputs[order], value.unimodal[order], value.multimodal[order])

    return replace(
        pool,
        probabilities=pool.probabilities[order],
        features={name: z[order] for name, z in pool.features.items()},
        present=pool.present[order],
        coalitions={key: v[order] for key, v in pool.coalitions.items()},
        gradients={name: layer(value) for name, value in pool.gradients.items()},
        mc_probabilities=pool.mc_probabilities[:, order],
        linear_head=LinearHead(pool.linear_head.weight, pool.linear_head.logits[order]),
    )


@few
@given(seed=seeds, name=st.sampled_from(DETERMINISTIC))
def test_the_order_of_tasks_does_not_matter(seed, name):
    pool = make_pool(seed=seed, absent=[(1, "text")])
    order = np.random.default_rng(seed).permutation(40)
    before, after = run(name, pool), run(name, permuted(pool, order))
    np.testing.assert_allclose(after.scores, before.scores[order], rtol=1e-7, atol=1e-9)
    # Scores that are equal but for rounding may change places.
    taken = before.scores[order[after.order]]
    np.testing.assert_allclose(taken, before.scores[before.order], rtol=1e-7, atol=1e-9)


@few
@given(seed=seeds, name=st.sampled_from(DRAWING))
def test_the_order_of_tasks_does_not_change_a_score(seed, name):
    pool = make_pool(seed=seed)
    order = np.random.default_rng(seed).permutation(40)
    before, after = run(name, pool), run(name, permuted(pool, order))
    np.testing.assert_allclose(after.scores, before.scores[order])
    for component, values in before.components.items():
        np.testing.assert_allclose(after.components[component], values[order], atol=1e-12)


@pytest.mark.parametrize("name", FEATURE_BASED)
@few
@given(seed=seeds, power=st.integers(-12, 12))
def test_the_scale_of_all_features_does_not_matter(name, seed, power):
    pool = make_pool(seed=seed)
    scale = 2.0**power

    def scaled(features):
        return {key: z * scale for key, z in features.items()}

    other = replace(
        pool,
        features=scaled(pool.features),
        labelled_features=scaled(pool.labelled_features),
    )
    assert run(name, pool).order.tolist() == run(name, other).order.tolist()


@few
@given(
    seed=seeds, power=st.integers(-12, 12), name=st.sampled_from(["grace", "grace_i", "grace_ir"])
)
def test_the_scale_of_all_gradients_does_not_matter(seed, power, name):
    pool = make_pool(seed=seed)
    scale = 2.0**power
    gradients = {
        key: LayerGradients(layer.inputs, layer.unimodal * scale, layer.multimodal * scale)
        for key, layer in pool.gradients.items()
    }
    before, after = run(name, pool), run(name, replace(pool, gradients=gradients))
    assert before.order.tolist() == after.order.tolist()
    np.testing.assert_allclose(before.scores, after.scores, atol=1e-9)


@few
@given(
    seed=seeds,
    name=st.sampled_from(
        ["coreset", "badge", "bmmal", "grace", "grace_i", "grace_ir", "typiclust"]
    ),
)
def test_the_order_of_modalities_does_not_matter(seed, name):
    names = ["image", "text", "audio"]
    pool = make_pool(seed=seed, modalities=names, absent=[(0, "audio"), (5, "image")])
    turned = replace(pool, modalities=tuple(names[::-1]), present=pool.present[:, ::-1])
    before, after = run(name, pool), run(name, turned)
    assert before.order.tolist() == after.order.tolist()
    np.testing.assert_allclose(before.scores, after.scores, atol=1e-9)
    assert before.components.keys() == after.components.keys()


@few
@given(seed=seeds, name=st.sampled_from(["entropy", "margin", "least_confidence", "badge", "bald"]))
def test_the_order_of_classes_does_not_matter(seed, name):
    pool = make_pool(seed=seed)
    order = np.random.default_rng(seed).permutation(5)
    turned = replace(
        pool,
        probabilities=pool.probabilities[:, order],
        mc_probabilities=pool.mc_probabilities[:, :, order],
    )
    np.testing.assert_allclose(run(name, turned).scores, run(name, pool).scores, atol=1e-12)
