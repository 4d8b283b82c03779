"""BADGE against materialised gradients, and against scikit-activeml's in law."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

from strategies import STRATEGIES, Pool, TargetKind
from tests.strategies.pools import (
    concatenated,
    make_pool,
    materialised,
    residual,
    sequential_law,
    softmax,
    squared_distances,
)

TRIALS = 1000


def run(pool, n, seed=0, **keywords):
    return STRATEGIES["badge"](pool, n, np.random.default_rng(seed), **keywords)


@pytest.mark.parametrize("kind", [TargetKind.CLASSIFICATION, TargetKind.MULTILABEL])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_score_first_choice_and_the_rest_follow_the_materialised_gradients(kind, dtype):
    pool = make_pool(target=kind, dtype=dtype)
    gradients = materialised(residual(pool), concatenated(pool))
    norms = np.sqrt((gradients**2).sum(axis=1))
    selection = run(pool, 8)
    np.testing.assert_allclose(selection.scores, norms, rtol=1e-5)
    assert selection.order[0] == np.argmax(norms)
    left = squared_distances(gradients, gradients[selection.order[:8]]).min(axis=1)
    rest = left[selection.order[8:]]
    assert (np.diff(rest) <= 1e-5 * rest.max()).all()


def test_law_on_the_materialised_gradients():
    pool = make_pool(6, classes=3, labelled=0)
    law = sequential_law(materialised(residual(pool), concatenated(pool)), 3)
    counts = Counter(tuple(run(pool, 3, seed).order[:3]) for seed in range(TRIALS))
    assert set(counts) <= set(law)
    expected = np.array(list(law.values())) * TRIALS
    common = expected >= 5
    observed = np.array([counts[key] for key in law])
    observed = np.append(observed[common], observed[~common].sum())
    expected = np.append(expected[common], expected[~common].sum())
    keep = expected > 0
    assert chisquare(observed[keep], expected[keep]).pvalue > 1e-3


def test_exclusion_is_the_same_as_leaving_the_rows_out():
    pool = make_pool(30)
    kept = np.setdiff1d(np.arange(30), [0, 11, 12])
    smaller = Pool(
        27,
        pool.modalities,
        probabilities=pool.probabilities[kept],
        features={name: values[kept] for name, values in pool.features.items()},
    )
    whole = run(pool, 9, exclude=[0, 11], labelled=[12])
    part = run(smaller, 9)
    np.testing.assert_allclose(whole.scores[kept], part.scores)
    assert whole.order.tolist() == kept[part.order].tolist()


def peer_choices(features, probabilities, n):
    """Ask scikit-activeml's Badge, with a classifier that answers what we say."""
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge
    from skactiveml.utils import MISSING_LABEL

    class Fixed(SkactivemlClassifier):
        def fit(self, X, y, sample_weight=None):
            return self

        def predict_proba(self, X):
            return probabilities

    classes = list(range(probabilities.shape[1]))
    classifier = Fixed(classes=classes, missing_label=MISSING_LABEL, cost_matrix=None)
    labels = np.full(len(features), MISSING_LABEL)
    for trial in range(TRIALS):
        badge = Badge(random_state=trial)
        yield tuple(
            int(row)
            for row in badge.query(features, labels, classifier, fit_clf=False, batch_size=n)
        )


def small_pool(spread):
    """Six tasks of one predicted class; with a small spread all gradients point the same way."""
    rng = np.random.default_rng(4)
    features = np.array([3.0, 2.0, 1.0]) + spread * rng.normal(size=(6, 3))
    probabilities = softmax(np.array([1.0, 0.0, 0.0]) + 0.5 * spread * rng.normal(size=(6, 3)))
    return Pool(6, ("image",), probabilities=probabilities, features={"image": features})


def test_agrees_in_law_with_scikit_activeml():
    """Both start from the largest norm; where no gradient is nearer to 0 than to it, they agree."""
    pool = small_pool(0.4)
    gradients = materialised(residual(pool), concatenated(pool))
    norms = (gradients**2).sum(axis=1)
    first = squared_distances(gradients, gradients[[np.argmax(norms)]])[:, 0]
    assert (first <= norms).all()
    ours = Counter(tuple(run(pool, 3, seed).order[:3].tolist()) for seed in range(TRIALS))
    peer = Counter(peer_choices(pool.features["image"], pool.probabilities, 3))
    outcomes = [key for key in set(ours) | set(peer) if ours[key] + peer[key] >= 10]
    table = np.array([[ours[key] for key in outcomes], [peer[key] for key in outcomes]])
    assert len(outcomes) > 5
    assert chi2_contingency(table).pvalue > 1e-3


def test_scikit_activeml_counts_the_origin_as_a_centre_and_we_do_not():
    """Its first D^2 is the squared norm and stays in the minimum; BADGE's k-means++ has no such."""
    pool = small_pool(2.0)
    gradients = materialised(residual(pool), concatenated(pool))
    plain = sequential_law(gradients, 2)
    with_origin = sequential_law(gradients, 2, origin=True)
    ours = Counter(tuple(run(pool, 2, seed).order[:2].tolist()) for seed in range(TRIALS))
    peer = Counter(peer_choices(pool.features["image"], pool.probabilities, 2))

    def fits(counts, law):
        keys = list(law)
        expected = np.array([law[key] for key in keys]) * TRIALS
        return chisquare([counts[key] for key in keys], expected).pvalue

    assert fits(ours, plain) > 1e-3
    assert fits(peer, with_origin) > 1e-3
    assert fits(peer, plain) < 1e-6
