"""Options of strategies: listed with what they mean, and refused where they do not fit."""

import numpy as np
import pytest

from strategies import (
    STRATEGIES,
)
from tests.strategies.pools import make_pool
from tests.strategies.test_contract import FAST, POINTWISE, pool_for, run


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grace", {"alpha_init": -1}),
        ("grace", {"alpha_step": -0.1}),
        ("grace", {"reference_size": 1}),
        ("dbal", {"beta": 0}),
        ("gcnal", {"neighbours": 0}),
        ("typiclust", {"max_clusters": 0}),
        ("bmmal", {"block": 0}),
        ("max_herding", {"radius": 0.0}),
        ("u_herding", {"references": 0}),
    ],
)
def test_options_out_of_range_are_refused(name, options):
    with pytest.raises(ValueError, match="must"):
        STRATEGIES[name](make_pool(), 5, np.random.default_rng(0), **options)


def test_options_are_listed_with_their_defaults_kinds_and_meaning():
    beta = STRATEGIES["dbal"].options["beta"]
    assert (beta.default, beta.kind, beta.of_look) == (10, int, False)
    assert STRATEGIES["grace"].options["alpha_init"].default == 1.0
    assert STRATEGIES["grace"].options["device"].optional
    assert all(o.meaning for s in STRATEGIES.values() for o in s.options.values())
    assert all(
        ("diverse" in STRATEGIES[name].options) == (name in POINTWISE) for name in STRATEGIES
    )


def test_defaults_are_values_that_their_options_take():
    for name, strategy in STRATEGIES.items():
        strategy.check_options({key: option.default for key, option in strategy.options.items()})
        keep = {k: o.default for k, o in strategy.options.items()}
        pool = pool_for(name)
        keep.update(FAST.get(name, {}))
        plain = run(name, pool)
        said = strategy(pool, 10, np.random.default_rng(0), **keep)
        assert plain.order.tolist() == said.order.tolist()


@pytest.mark.parametrize(
    ("name", "option", "value", "wanted"),
    [
        ("dbal", "beta", 2.5, "a whole number"),
        ("dbal", "beta", True, "a whole number"),
        ("dbal", "beta", "ten", "a whole number"),
        ("grace", "alpha_init", "high", "a number"),
        ("grace", "alpha_init", float("nan"), "a number"),
        ("grace", "device", 3, "a word or none"),
        ("entropy", "diverse", "yes", "true or false"),
        ("grace", "pseudo_label", "guess", "one of polarity, mc_mean, teacher"),
        ("u_herding", "measure", "bald", "one of margin, entropy, least_confidence"),
        ("bald", "mc_passes", None, "a whole number"),
    ],
)
def test_an_option_of_another_kind_is_refused_by_name(name, option, value, wanted):
    with pytest.raises(ValueError, match=f"'{name}': option '{option}' must be {wanted}, not "):
        STRATEGIES[name](pool_for(name), 5, np.random.default_rng(0), **{option: value})


def test_options_of_the_look_are_told_apart():
    given = {"mc_passes": 9, "alpha_init": 0.5, "pseudo_label": "teacher"}
    found = STRATEGIES["grace"].look_options(given)
    assert found == {"mc_passes": 9, "pseudo_label": "teacher"}
    with pytest.raises(ValueError, match="no option"):
        STRATEGIES["bald"].look_options({"pseudo_label": "teacher"})
