"""`auto` says what it took and why, takes what its page says, and refuses no network."""

from dataclasses import replace

import numpy as np
import pytest

from model.look import look
from strategies import STRATEGIES, Need, TargetKind
from tests.model.test_look import FUSIONS, TARGETS, trained
from tests.strategies.pools import make_pool


def run(name, pool, **keywords):
    return STRATEGIES[name](pool, 10, np.random.default_rng(0), **keywords)


@pytest.mark.parametrize(
    ("kind", "labels", "taken"),
    [
        (TargetKind.CLASSIFICATION, 6, "u_herding"),
        (TargetKind.MULTILABEL, 6, "u_herding"),
        (TargetKind.REGRESSION, 6, "max_herding"),
        (TargetKind.CLASSIFICATION, 0, "max_herding"),
        (TargetKind.REGRESSION, 0, "max_herding"),
    ],
)
def test_what_is_taken_is_said_with_its_reason(kind, labels, taken):
    pool = make_pool(target=kind, labelled_count=labels)
    selection = run("auto", pool)
    assert selection.notes["chosen"] == taken
    assert selection.notes["strategy"] == "auto"
    assert len(str(selection.notes["because"])) > 20
    assert selection.order.tolist() == run(taken, pool).order.tolist()


def test_labels_are_counted_where_the_number_is_not_given():
    none = make_pool(labelled=0)
    assert run("auto", none).notes["chosen"] == "max_herding"
    assert run("auto", none, labelled=[3]).notes["chosen"] == "u_herding"
    assert run("auto", make_pool(labelled=2)).notes["chosen"] == "u_herding"


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_network_can_give_what_it_needs(kind, fusion):
    model, inputs = trained(kind, fusion, dropout=0.0)
    known = inputs.take(range(4))
    needs = STRATEGIES["auto"].needs_for(TARGETS[kind].kind)
    pool = look(model, inputs, needs, labelled=known)
    assert sorted(run("auto", pool).order) == list(range(inputs.size))


def test_eleven_modalities_and_no_last_layer():
    names = tuple(f"m{place}" for place in range(11))
    model, inputs = trained("classification", "concat", names=names, projection=None, dropout=0.0)
    needs = STRATEGIES["auto"].needs_for(TargetKind.CLASSIFICATION)
    assert not needs & {Need.COALITIONS, Need.GRADIENTS, Need.MC_PROBABILITIES, Need.LINEAR_HEAD}
    pool = look(model, inputs, needs, labelled=inputs.take(range(4)))
    assert len(run("auto", pool).order) == inputs.size
    assert len(run("auto", replace(pool, labelled_features=None)).order) == inputs.size
