"""What every registered strategy keeps to, whatever it computes."""

from dataclasses import fields, replace

import numpy as np
import pytest

from strategies import (
    NAMES,
    STRATEGIES,
    EmptyPool,
    InvalidPool,
    Need,
    Strategy,
    TargetKind,
    UnsupportedTarget,
)
from strategies.pool import LayerGradients, LinearHead
from tests.strategies.pools import make_pool

PUBLISHED = [
    *("random", "least_confidence", "margin", "entropy", "bald", "coreset", "dbal", "kmeans"),
    *("deepfool", "gcnal", "badge", "bmmal", "grace", "grace_i", "grace_ir", "typiclust"),
    *("max_herding", "u_herding", "auto"),
]
PARTS = {Need.LINEAR_HEAD: ("weight", "logits"), Need.HELD_OUT: ("probabilities",)}
OPTIONAL = {Need.LABELLED_FEATURES, Need.HELD_OUT}
POINTWISE = [name for name in NAMES if STRATEGIES[name].score is not None]
SUPPORTED = [(name, kind) for name in NAMES for kind in sorted(STRATEGIES[name].targets)]
every_strategy = pytest.mark.parametrize("name", NAMES)

# Keeps the one strategy that trains a network short.
FAST = {"gcnal": {"epochs": 3}}


def run(name, pool, n=10, seed=0, **keywords):
    return STRATEGIES[name](pool, n, np.random.default_rng(seed), **FAST.get(name, {}), **keywords)


def pool_for(name, **keywords):
    """A pool of a kind of target that the strategy serves."""
    return make_pool(**{"target": sorted(STRATEGIES[name].targets)[0], **keywords})


def check_selection(selection, pool, allowed):
    allowed = sorted(allowed)
    assert selection.order.dtype == np.int64
    assert sorted(selection.order) == allowed, "every candidate exactly once"
    assert selection.scores.shape == (pool.size,)
    assert np.isfinite(selection.scores[allowed]).all()
    others = np.setdiff1d(np.arange(pool.size), allowed)
    assert (selection.scores[others] == -np.inf).all()
    for component, values in selection.components.items():
        assert np.shape(values) == (pool.size,), component
        assert np.isfinite(np.asarray(values)[allowed]).all(), component


def test_the_registry_is_complete():
    assert set(STRATEGIES) >= set(PUBLISHED)
    assert all(name == strategy.name for name, strategy in STRATEGIES.items())
    assert all(strategy.paper and strategy.summary for strategy in STRATEGIES.values())


@pytest.mark.parametrize(("name", "kind"), SUPPORTED)
def test_ranks_every_candidate_once(name, kind):
    pool = make_pool(target=kind)
    check_selection(run(name, pool), pool, range(pool.size))


@every_strategy
def test_needs_nothing_it_does_not_name(name):
    pool = pool_for(name)
    needs = STRATEGIES[name].needs_for(pool.target)
    bare = {need.value: None for need in Need if need not in needs}
    assert set(bare) <= {field.name for field in fields(pool)}
    check_selection(run(name, replace(pool, **bare)), pool, range(pool.size))


@every_strategy
def test_excluded_and_labelled_rows_are_never_selected(name):
    pool = pool_for(name)
    selection = run(name, pool, exclude=[0, 5, 5], labelled=np.array([7, 39]))
    check_selection(selection, pool, set(range(40)) - {0, 5, 7, 39})


@every_strategy
def test_no_labelled_task_at_all(name):
    for pool in (pool_for(name, labelled_features=None), pool_for(name, labelled=0)):
        check_selection(run(name, pool), pool, range(pool.size))


@every_strategy
def test_same_seed_same_selection(name):
    pool = pool_for(name)
    one, other = run(name, pool, seed=3), run(name, pool, seed=3)
    assert np.array_equal(one.order, other.order)
    assert np.array_equal(one.scores, other.scores)


@every_strategy
def test_leaves_its_input_alone(name):
    pool, untouched = pool_for(name), pool_for(name)
    run(name, pool)
    for modality in pool.modalities:
        assert np.array_equal(pool.features[modality], untouched.features[modality])
    assert np.array_equal(pool.probabilities, untouched.probabilities)
    assert np.array_equal(pool.mc_probabilities, untouched.mc_probabilities)


@every_strategy
@pytest.mark.parametrize("n", [40, 41, 10_000])
def test_n_at_least_the_pool(name, n):
    pool = pool_for(name)
    check_selection(run(name, pool, n=n), pool, range(40))


@every_strategy
@pytest.mark.parametrize("labelled", [0, 6])
def test_one_task(name, labelled):
    pool = pool_for(name, size=1, labelled=labelled)
    check_selection(run(name, pool, n=1), pool, [0])


@every_strategy
def test_one_candidate_left(name):
    pool = pool_for(name, size=8)
    check_selection(run(name, pool, exclude=range(7)), pool, [7])


@every_strategy
@pytest.mark.parametrize("copies", [3, 40])
def test_exact_duplicates(name, copies):
    pool = pool_for(name, copies=copies)
    check_selection(run(name, pool, n=30), pool, range(40))


@every_strategy
def test_one_class(name):
    pool = pool_for(name, classes=1)
    check_selection(run(name, pool), pool, range(40))


@every_strategy
@pytest.mark.parametrize("modalities", [["text"], ["image", "text", "audio"]])
def test_one_and_three_modalities(name, modalities):
    pool = pool_for(name, modalities=modalities)
    check_selection(run(name, pool), pool, range(40))


@every_strategy
def test_a_modality_that_every_task_lacks(name):
    pool = pool_for(name, absent=[(row, "text") for row in range(40)])
    check_selection(run(name, pool), pool, range(40))


@every_strategy
def test_tasks_that_lack_every_modality(name):
    everything = [(row, modality) for row in range(40) for modality in ("image", "text")]
    for absent in (everything[:12], everything):
        pool = pool_for(name, absent=absent)
        check_selection(run(name, pool), pool, range(40))


@every_strategy
def test_half_precision(name):
    pool = pool_for(name, dtype=np.float16)
    check_selection(run(name, pool), pool, range(40))


@every_strategy
def test_certain_predictions(name):
    certain = np.zeros((40, 5))
    certain[:, 2] = 1
    pool = pool_for(name, probabilities=certain, mc_probabilities=np.tile(certain, (3, 1, 1)))
    check_selection(run(name, pool), pool, range(40))


@every_strategy
def test_without_a_presence_mask(name):
    pool = pool_for(name, present=None)
    check_selection(run(name, pool), pool, range(40))


@pytest.mark.parametrize(("off", "refused"), [(0.0009, False), (0.0011, True)])
def test_a_probability_may_be_off_by_what_half_precision_loses_and_no_more(off, refused):
    for bad in (1 + off, -off):
        pool = pool_for("entropy")
        pool = replace(pool, probabilities=poisoned(pool.probabilities, bad))
        if refused:
            with pytest.raises(InvalidPool, match="probabilities"):
                run("entropy", pool)
        else:
            run("entropy", pool)


def poisoned(array, bad):
    array = array.copy()
    array[(-1,) * array.ndim] = bad
    return array


def poisonings(pool, need, bad):
    """Yield (what the message must name, pool with one bad number in an array of this need)."""
    value = getattr(pool, need.value)
    if need in (Need.PROBABILITIES, Need.MC_PROBABILITIES):
        yield need.value, replace(pool, **{need.value: poisoned(value, bad)})
    elif need is Need.COALITIONS:
        for key in value:
            yield (
                str(sorted(key)),
                replace(pool, coalitions={**value, key: poisoned(value[key], bad)}),
            )
    elif need is Need.GRADIENTS:
        for key in value:
            for part in ("inputs", "unimodal", "multimodal"):
                layer = replace(value[key], **{part: poisoned(getattr(value[key], part), bad)})
                yield f"{key}'].{part}", replace(pool, gradients={**value, key: layer})
    elif need in PARTS:
        for part in PARTS[need]:
            changed = replace(value, **{part: poisoned(getattr(value, part), bad)})
            yield f"{need.value}.{part}", replace(pool, **{need.value: changed})
    else:
        for key in value:
            changed = {**value, key: poisoned(value[key], bad)}
            yield f"{need.value}['{key}']", replace(pool, **{need.value: changed})


@every_strategy
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_refused_by_the_name_of_the_array(name, bad):
    pool = pool_for(name)
    for need in STRATEGIES[name].needs_for(pool.target):
        for named, bad_pool in poisonings(pool, need, bad):
            with pytest.raises(InvalidPool) as refusal:
                run(name, bad_pool)
            assert named in str(refusal.value)


@every_strategy
def test_a_missing_array_is_named(name):
    pool = pool_for(name)
    for need in STRATEGIES[name].needs_for(pool.target) - OPTIONAL:
        with pytest.raises(InvalidPool, match=rf"'{name}' needs pool\.{need.value}"):
            run(name, replace(pool, **{need.value: None}))


@every_strategy
def test_nothing_to_choose_from(name):
    with pytest.raises(EmptyPool, match="pool is empty"):
        run(name, pool_for(name, size=0, absent=()))
    with pytest.raises(EmptyPool, match="All 40 tasks"):
        run(name, pool_for(name), exclude=range(20), labelled=range(20, 40))


@every_strategy
def test_bad_arguments_are_refused(name):
    pool = pool_for(name)
    with pytest.raises(ValueError, match="ask for 1 or more"):
        run(name, pool, n=0)
    with pytest.raises(ValueError, match=r"no option \['nonsense'\]"):
        run(name, pool, nonsense=1)
    with pytest.raises(ValueError, match=r"exclude holds rows outside 0\.\.39"):
        run(name, pool, exclude=[40])
    with pytest.raises(ValueError, match="labelled must hold row indices"):
        run(name, pool, labelled=[0.5])


@pytest.mark.parametrize(
    ("name", "kind"),
    [(n, k) for n in NAMES for k in TargetKind if k not in STRATEGIES[n].targets],
)
def test_other_targets_are_refused_with_what_fits(name, kind):
    with pytest.raises(UnsupportedTarget) as refusal:
        run(name, make_pool(target=kind))
    named = str(refusal.value).split(": ")[-1].rstrip(".").split(", ")
    assert named
    assert all(kind in STRATEGIES[other].targets for other in named)
    assert name not in named


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probabilities": np.ones((39, 5))}, r"probabilities has shape \(39, 5\); it needs \(40,"),
        ({"probabilities": np.full((40, 5), 3.0)}, "logits"),
        ({"probabilities": np.ones((40, 0))}, "no class"),
        ({"probabilities": np.ones(40)}, "probabilities has shape"),
        ({"features": {"image": np.ones((40, 7))}}, "features"),
        ({"present": np.ones((40, 3), bool)}, r"present has shape"),
        ({"modalities": ("text", "text")}, "modalities must differ"),
        ({"modalities": ()}, "modalities is empty"),
        ({"coalitions": {frozenset(): np.ones(40)}}, "missing; all 2"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    if changes.get("modalities") == ():
        changes = {**changes, "present": None}
    with pytest.raises(InvalidPool, match=message):
        run("bmmal", make_pool(**changes))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("bald", {"mc_probabilities": np.ones((0, 40, 5))}, "no stochastic pass"),
        (
            "coreset",
            {"labelled_features": {"image": np.ones((2, 7)), "text": np.ones((3, 4))}},
            "labelled_features",
        ),
        ("deepfool", {"linear_head": LinearHead(np.ones((4, 3)), np.ones((40, 5)))}, "logits"),
        (
            "grace",
            {
                "gradients": {
                    name: LayerGradients(np.ones((40, 2)), np.ones((40, 3)), np.ones((40, 2)))
                    for name in ("image", "text")
                }
            },
            "multimodal",
        ),
    ],
)
def test_other_arrays_that_do_not_fit_are_refused(name, changes, message):
    with pytest.raises(InvalidPool, match=message):
        run(name, make_pool(**changes))


@pytest.mark.parametrize("name", POINTWISE)
def test_a_diverse_batch_of_any_score(name):
    pool, strategy = pool_for(name, copies=4), STRATEGIES[name]
    assert Need.FEATURES in strategy.needs_for(pool.target, {"diverse": True})
    assert strategy.needs_for(pool.target, {"diverse": False}) == strategy.needs
    plain, spread = run(name, pool), run(name, pool, diverse=True)
    check_selection(spread, pool, range(40))
    assert np.array_equal(spread.scores, plain.scores)
    assert len(set(spread.order[:8] // 4)) == 8, "one of each four copies"
    assert len(set(plain.order[:8] // 4)) < 8 or name == "random"
    with pytest.raises(InvalidPool, match=r"pool\.features"):
        run(name, replace(pool, features=None), diverse=True)


def test_a_strategy_scores_or_builds_a_batch():
    with pytest.raises(ValueError, match="either score or build_batch"):
        Strategy("both", frozenset(), "-", "-")
