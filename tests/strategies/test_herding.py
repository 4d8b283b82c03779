"""MaxHerding and UHerding against the formulas written out, and against scikit-activeml."""

from dataclasses import replace

import numpy as np
import pytest
from skactiveml.pool import MaxHerding

from strategies import STRATEGIES, HeldOut, Pool, TargetKind
from strategies import coverage as coverage_module
from strategies import diverse as diverse_module
from strategies.calibration import TEMPERATURES, fitted_temperature, tempered
from strategies.coverage import cover
from strategies.factors import Dense
from tests.strategies.pools import make_pool, softmax, squared_distances


def run(name, pool, n=10, seed=0, **keywords):
    return STRATEGIES[name](pool, n, np.random.default_rng(seed), **keywords)


def unit(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def brute(points, n, radius, weights=None, centres=None, candidates=None):
    """The greedy choice, every gain anew at every step, and the gains at the first."""
    weights = np.ones(len(points)) if weights is None else weights
    kernel = np.exp(-squared_distances(points, points) / radius**2)
    best = np.zeros(len(points))
    if centres is not None and len(centres):
        best = np.exp(-squared_distances(points, centres) / radius**2).max(axis=1)
    allowed = range(len(points)) if candidates is None else candidates
    chosen, first = [], None
    for _ in range(n):
        gains = (weights * np.maximum(kernel - best, 0)).sum(axis=1) / weights.sum()
        first = gains if first is None else first
        left = [row for row in allowed if row not in chosen]
        chosen.append(max(left, key=lambda row: gains[row]))
        best = np.maximum(best, kernel[chosen[-1]])
    return chosen, first


def one_modality(size=300, labelled=0, seed=0, width=6, **changes):
    rng = np.random.default_rng(seed)
    return Pool(
        size=size,
        modalities=("image",),
        features={"image": rng.normal(size=(size, width))},
        labelled_features={"image": rng.normal(size=(labelled, width))},
        probabilities=softmax(2 * rng.normal(size=(size, 4))),
        **changes,
    )


@pytest.mark.parametrize("labelled", [0, 7])
@pytest.mark.parametrize("radius", [0.3, 1.0])
@pytest.mark.parametrize("together", [1, 32])
def test_max_herding_is_the_greedy_choice(labelled, radius, together, monkeypatch):
    monkeypatch.setattr(coverage_module, "TOGETHER", together)
    pool = one_modality(labelled=labelled)
    points, centres = unit(pool.features["image"]), unit(pool.labelled_features["image"])
    expected, first = brute(points, 40, radius, centres=centres)
    selection = run("max_herding", pool, 40, radius=radius)
    assert selection.order[:40].tolist() == expected
    np.testing.assert_allclose(selection.scores, first, atol=1e-6)


@pytest.mark.parametrize("labelled", [[], [3, 50, 200]])
def test_max_herding_is_scikit_activemls(labelled):
    features = one_modality().features["image"]
    truth = np.full(300, np.nan)
    truth[labelled] = 0
    theirs = MaxHerding(metric_dict={"gamma": 1 / 0.8**2}, random_state=0).query(
        features, truth, batch_size=30
    )
    ours = run("max_herding", one_modality(), 30, radius=0.8, labelled=np.array(labelled, int))
    # Theirs measures coverage on what is not labelled; a labelled task adds nothing to ours.
    assert ours.order[:30].tolist() == theirs.tolist()


def test_u_herding_is_the_weighted_greedy_choice():
    pool = one_modality(labelled=5)
    points, centres = unit(pool.features["image"]), unit(pool.labelled_features["image"])
    top = np.sort(pool.probabilities, axis=1)
    unsure = 1 - (top[:, -1] - top[:, -2])
    between = np.sqrt(squared_distances(centres, centres))[np.triu_indices(5, 1)]
    expected, first = brute(points, 30, between.min(), weights=unsure, centres=centres)
    selection = run("u_herding", pool, 30)
    assert selection.notes["radius"] == pytest.approx(between.min(), rel=1e-5)
    assert selection.order[:30].tolist() == expected
    np.testing.assert_allclose(selection.scores, first, atol=1e-6)
    np.testing.assert_allclose(selection.components["uncertainty"], unsure, atol=1e-12)


def test_u_herding_with_nothing_labelled_and_flat_predictions_is_max_herding():
    pool = one_modality()
    flat = replace(pool, probabilities=np.full((300, 4), 0.25))
    assert run("u_herding", flat).order.tolist() == run("max_herding", pool).order.tolist()


def test_certain_predictions_leave_coverage():
    pool = replace(one_modality(), probabilities=np.tile(np.eye(4)[1], (300, 1)))
    selection = run("u_herding", pool, 20)
    assert selection.order[:20].tolist() == run("max_herding", pool, 20).order[:20].tolist()


def test_a_small_radius_makes_it_uncertainty_sampling():
    pool = one_modality()
    selection = run("u_herding", pool, 25, radius=1e-3)
    assert selection.order[:25].tolist() == run("margin", pool, 25).order[:25].tolist()


@pytest.mark.parametrize("measure", ["entropy", "least_confidence"])
def test_the_measure_of_uncertainty(measure):
    pool = one_modality()
    found = run("u_herding", pool, measure=measure).components["uncertainty"]
    np.testing.assert_allclose(found, run(measure, pool).scores, atol=1e-12)


@pytest.mark.parametrize("name", ["max_herding", "u_herding"])
def test_near_duplicates_come_once(name):
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(30, 8))
    copies = np.repeat(distinct, 10, axis=0) + 1e-4 * rng.normal(size=(300, 8))
    pool = replace(one_modality(width=8), features={"image": copies})
    pool = replace(pool, probabilities=np.full((300, 4), 0.25))
    selection = run(name, pool, 30, radius=0.5)
    assert len(set(selection.order[:30] // 10)) == 30
    covered = run(name, pool, 5, radius=0.5, labelled=[0])
    assert (covered.scores[1:10] < 1e-3 * covered.scores.max()).all(), "copies of what is labelled"


def test_each_modality_weighs_the_same_whatever_its_scale():
    pool = make_pool(60)
    scaled = {name: 1000.0 ** (name == "text") * z for name, z in pool.features.items()}
    known = {name: 1000.0 ** (name == "text") * z for name, z in pool.labelled_features.items()}
    other = replace(pool, features=scaled, labelled_features=known)
    for name in ("max_herding", "u_herding"):
        assert run(name, pool).order[:10].tolist() == run(name, other).order[:10].tolist()


def test_a_large_pool_is_measured_on_a_sample():
    pool = one_modality(2000)
    exact, sampled = run("max_herding", pool, 20), run("max_herding", pool, 20, references=500)
    assert (exact.notes["references"], sampled.notes["references"]) == (2000, 500)
    points = unit(pool.features["image"])

    def covered(rows):
        return np.exp(-squared_distances(points, points[rows])).max(axis=1).mean()

    chance = covered(np.random.default_rng(0).choice(2000, 20, replace=False))
    best, found = covered(exact.order[:20]), covered(sampled.order[:20])
    assert best - found < 0.25 * (best - chance)


def test_the_sample_is_drawn_by_weight():
    points = Dense(np.random.default_rng(0).normal(size=(400, 3)))
    weights = np.zeros(400)
    weights[:50] = 1
    found = cover(
        points,
        10,
        np.random.default_rng(0),
        radius=0.2,
        eligible=np.arange(400),
        weights=weights,
        limit=40,
    )
    assert (found.indices < 50).all()
    assert found.references == 40


def test_tempering_divides_the_logits():
    logits = np.random.default_rng(0).normal(size=(20, 5))
    found = tempered(softmax(logits), 2.5, TargetKind.CLASSIFICATION)
    np.testing.assert_allclose(found, softmax(logits / 2.5), atol=1e-12)
    odds = 1 / (1 + np.exp(-logits))
    found = tempered(odds, 2.5, TargetKind.MULTILABEL)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits / 2.5)), atol=1e-12)


@pytest.mark.parametrize("sharper", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("kind", [TargetKind.CLASSIFICATION, TargetKind.MULTILABEL])
def test_the_temperature_undoes_overconfidence(kind, sharper):
    rng = np.random.default_rng(0)
    logits = 1.5 * rng.normal(size=(20_000, 3))
    if kind is TargetKind.MULTILABEL:
        truth = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(int)
        said = 1 / (1 + np.exp(-sharper * logits))
    else:
        draws = rng.random((20_000, 1)) < softmax(logits).cumsum(axis=1)
        truth, said = draws.argmax(axis=1), softmax(sharper * logits)
    found = fitted_temperature(HeldOut(said, truth), kind)
    assert found in TEMPERATURES
    assert found == pytest.approx(sharper, rel=0.2)


def test_u_herding_tempers_what_it_weighs_by():
    truth = np.zeros(50, int)
    wrong = np.tile([0.02, 0.96, 0.01, 0.01], (50, 1))
    pool = replace(one_modality(labelled=50), held_out=HeldOut(wrong, truth))
    selection = run("u_herding", pool)
    assert selection.notes["temperature"] == TEMPERATURES[0], "always wrong: as flat as can be"
    plain = run("u_herding", replace(pool, held_out=None))
    assert plain.notes["temperature"] == 1
    spread = np.ptp(selection.components["uncertainty"])
    assert spread < 0.5 * np.ptp(plain.components["uncertainty"])


def test_the_radius_of_many_labels_is_found_in_pieces(monkeypatch):
    pool = one_modality(labelled=50)
    whole = run("u_herding", pool).notes["radius"]
    monkeypatch.setattr(diverse_module, "TOGETHER", 7)
    assert run("u_herding", pool).notes["radius"] == pytest.approx(whole, rel=1e-9)


def test_duplicates_among_the_labelled_do_not_shrink_the_radius():
    pool = one_modality(labelled=4)
    known = pool.labelled_features["image"]
    doubled = replace(pool, labelled_features={"image": np.vstack([known, known])})
    one, two = run("u_herding", pool), run("u_herding", doubled)
    assert one.notes["radius"] == pytest.approx(two.notes["radius"])


def test_a_fused_vector_is_what_is_covered():
    fused = np.random.default_rng(1).normal(size=(300, 5))
    pool = replace(one_modality(), fused_features=fused)
    alone = replace(one_modality(width=5), features={"image": fused})
    assert run("max_herding", pool).order.tolist() == run("max_herding", alone).order.tolist()
