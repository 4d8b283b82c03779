# ruff: noqa: F401 - fixtures are imported
"""Models of prepared vectors of views: members, out-of-fold results, any labels, any strategy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model import checkpoint
from model.evaluation import evaluate
from model.labels import NotEnoughLabels
from model.look import look
from model.schema import Target
from model.training import train
from model.vectors.folds import divide
from model.vectors.network import VectorNetwork
from strategies import STRATEGIES
from strategies.pool import Need, TargetKind
from tests.model.views import (
    AUTO,
    CLASSIFY,
    NUMBER,
    SEVERAL,
    VIEWS,
    _encoder,
    answers,
    learnt,
    project,
    schema_of,
)


def test_two_modalities_together_know_what_neither_knows() -> None:
    model, rest, truth = learnt(80)
    found = evaluate(model, rest, {"kind": truth})
    assert isinstance(model.network, VectorNetwork)
    assert found["accuracy"] > 0.8
    assert found["accuracy:left"] < 0.7
    assert found["accuracy:right"] < 0.7
    assert found["contribution:left"] > 0.1
    assert found["contribution:right"] > 0.1


def test_out_of_fold_metrics_say_what_new_tasks_will_show() -> None:
    model, rest, truth = learnt(200)
    expected, promised = evaluate(model, rest, {"kind": truth}), model.metadata["metrics"]
    assert set(promised) == set(expected)
    assert promised["n"] == 200
    for name in ("accuracy", "macro_accuracy", "f1", "accuracy:left", "contribution:left"):
        assert promised[name] == pytest.approx(expected[name], abs=0.08), name
    assert promised["ece"] < 0.1
    assert expected["ece"] < 0.1


def test_out_of_fold_answers_are_those_of_members_that_did_not_see_the_label() -> None:
    inputs, truth = project(60)
    schema, labels = schema_of(CLASSIFY), truth.copy()
    model = train(inputs, {"kind": labels}, schema, AUTO, device="cpu")
    found = model.out_of_fold
    assert found is not None
    passes = look(model, inputs, frozenset({Need.MC_PROBABILITIES})).mc_probabilities
    assert passes is not None
    own = np.asarray(passes)[found.fold, found.indices]
    assert np.allclose(own, found.predicted, atol=1e-4)


def test_noise_beside_a_good_modality_does_little_harm() -> None:
    rng = np.random.default_rng(0)
    inputs, truth = project(600)
    noise = rng.normal(size=(600, 20)).astype(np.float32)
    columns = (inputs.columns[0], replace(inputs.columns[1], shards=(noise,)))
    inputs, truth = replace(inputs, columns=columns), truth // 2
    model = train(
        inputs.take(np.arange(60)), {"kind": truth[:60]}, schema_of(CLASSIFY), AUTO, pool=inputs
    )
    found = evaluate(model, inputs.take(np.arange(300, 600)), {"kind": truth[300:]})
    assert found["accuracy"] > found["accuracy:left"] - 0.03


@pytest.mark.parametrize("target", [CLASSIFY, SEVERAL, NUMBER])
@pytest.mark.parametrize("size", [2, 3, 5, 20])
def test_a_handful_of_labels_is_enough_for_a_model(target: Target, size: int) -> None:
    model, rest, _ = learnt(size, target)
    outputs = model.predict(rest)["kind"]
    assert np.isfinite(outputs).all()
    if target.kind is TargetKind.CLASSIFICATION:
        assert outputs.min() > 0, "a class that nobody has seen yet is possible"
        assert np.allclose(outputs.sum(axis=1), 1, atol=1e-4)


def test_one_class_only_and_a_class_with_one_label() -> None:
    inputs, truth = project(200)
    rows = np.flatnonzero(truth == 1)[:9]
    model = train(inputs.take(rows), {"kind": truth[rows]}, schema_of(CLASSIFY), AUTO, pool=inputs)
    assert (model.predict(inputs)["kind"].argmax(axis=1) == 1).all()
    assert model.out_of_fold is None
    assert model.metadata["metrics"] == {}
    rows = np.append(rows, np.flatnonzero(truth == 2)[:1])
    model = train(inputs.take(rows), {"kind": truth[rows]}, schema_of(CLASSIFY), AUTO, pool=inputs)
    assert set(model.predict(inputs)["kind"].argmax(axis=1)) == {1, 2}


def test_nothing_labelled_is_not_enough() -> None:
    inputs, _ = project(20)
    with pytest.raises(NotEnoughLabels):
        train(inputs, {"kind": np.full(20, -1)}, schema_of(CLASSIFY), AUTO)


def test_absent_modalities_and_unknown_labels() -> None:
    inputs, truth = project(400, absent=0.4)
    labels = np.where(np.arange(400) % 3 == 0, truth, -1)
    model = train(inputs, {"kind": labels}, schema_of(CLASSIFY), AUTO, device="cpu")
    assert model.metadata["n_labels"] == 134
    rest = labels < 0
    both = inputs.present.all(axis=1) & rest
    hit = model.predict(inputs)["kind"].argmax(axis=1) == truth
    assert hit[both].mean() > 0.7 > hit[rest & ~both].mean() > 0.4


def test_a_modality_that_no_task_has() -> None:
    inputs, truth = project(80)
    inputs = inputs.without({1: ()})
    model = train(inputs, {"kind": truth // 2}, schema_of(CLASSIFY), AUTO, device="cpu")
    assert evaluate(model, inputs, {"kind": truth // 2})["accuracy"] > 0.9


def test_modalities_with_questions_of_their_own() -> None:
    own = Target("left kind", TargetKind.CLASSIFICATION, ("low", "high"), modality="left")
    inputs, truth = project(300)
    labels = {"kind": truth[:100], "left kind": np.where(np.arange(100) < 50, truth[:100] // 2, -1)}
    schema = schema_of(CLASSIFY, own)
    model = train(inputs.take(np.arange(100)), labels, schema, AUTO, pool=inputs)
    outputs = model.predict(inputs.take(np.arange(100, 300)))
    assert (outputs["left kind"].argmax(axis=1) == truth[100:] // 2).mean() > 0.8
    assert (outputs["kind"].argmax(axis=1) == truth[100:]).mean() > 0.75


@pytest.mark.parametrize("weighed", [False, True])
def test_rare_classes_are_weighed_as_far_as_accuracy_allows(weighed: bool) -> None:
    inputs, truth = project(1200, noise=1.0)
    rare = np.flatnonzero((truth == 0) | (np.arange(1200) % 3 == 0))
    rows, rest = rare[:200], rare[200:]
    chosen = AUTO.changed(class_weights=weighed)
    labels = {"kind": truth[rows]}
    model = train(inputs.take(rows), labels, schema_of(CLASSIFY), chosen, pool=inputs)
    hit = model.predict(inputs.take(rest))["kind"].argmax(axis=1) == truth[rest]
    assert model.metadata["balance"] == (1.0 if weighed else 0.75)
    assert hit[truth[rest] != 0].mean() > 0.25
    assert hit.mean() > 0.5


def test_weighing_that_surely_costs_accuracy_is_left() -> None:
    rng = np.random.default_rng(0)
    inputs, _ = project(400)
    truth = (rng.random(400) < 0.1).astype(int)  # nothing to be seen: the majority is right
    model = train(inputs, {"kind": truth}, schema_of(CLASSIFY), AUTO, device="cpu")
    assert model.metadata["balance"] == 0
    assert model.metadata["metrics"]["accuracy"] > 0.85


def test_numbers_and_label_sets() -> None:
    model, rest, truth = learnt(100, NUMBER)
    found = evaluate(model, rest, {"kind": answers(NUMBER, truth)})
    assert found["mae"] < 1.3
    assert found["corr"] > 0.85
    assert model.metadata["metrics"]["mae"] == pytest.approx(found["mae"], abs=0.4)
    model, rest, truth = learnt(100, SEVERAL)
    assert evaluate(model, rest, {"kind": answers(SEVERAL, truth)})["f1"] > 0.8


def test_the_same_seed_gives_the_same_model() -> None:
    first, rest, _ = learnt(50)
    second, _, _ = learnt(50)
    assert np.array_equal(first.predict(rest)["kind"], second.predict(rest)["kind"])


def test_a_checkpoint_gives_the_same_answers(tmp_path: Path) -> None:
    model, rest, _ = learnt(50)
    checkpoint.save(model, tmp_path / "model")
    again = checkpoint.load(tmp_path / "model", device="cpu", expect=model.schema)
    assert np.array_equal(model.predict(rest)["kind"], again.predict(rest)["kind"])
    needs = frozenset({Need.MC_PROBABILITIES})
    passes = [np.asarray(look(m, rest, needs).mc_probabilities) for m in (model, again)]
    assert np.array_equal(*passes)


@pytest.mark.parametrize("target", [CLASSIFY, SEVERAL, NUMBER])
@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_can_read_it(name: str, target: Target) -> None:
    strategy = STRATEGIES[name]
    if target.kind not in strategy.targets:
        pytest.skip("not defined for this target")
    model, rest, _ = learnt(60, target, absent=0.1)
    known = project(600, absent=0.1)[0].take(np.arange(60))
    needs = strategy.needs_for(target.kind) | {Need.PROBABILITIES}
    pool = look(model, rest, needs, labelled=known)
    selection = strategy(pool, 10, np.random.default_rng(0))
    assert len(set(selection.order.tolist())) == rest.size


def test_the_last_layers_gradients_are_autograds() -> None:
    model, rest, _ = learnt(60, absent=0.2)
    some = rest.take(np.arange(40))
    found = look(model, some, frozenset({Need.GRADIENTS})).gradients
    assert found is not None
    network = model.network
    batch = some.batch(slice(None), model.device)
    encoded = network.encode(batch)
    leaves = [a.detach().requires_grad_() for a in encoded.activations]
    features = network.features(leaves, encoded.present)
    fused = network.multimodal_logits(features)
    own = network.unimodal_logits(features)
    loss = torch.nn.functional.cross_entropy(fused, fused.argmax(dim=1), reduction="sum")
    together = torch.autograd.grad(loss, leaves, retain_graph=True)
    for column, name in enumerate(VIEWS):
        logits = own[column]
        alone = torch.nn.functional.cross_entropy(logits, logits.argmax(dim=1), reduction="sum")
        (expected,) = torch.autograd.grad(alone, leaves[column], retain_graph=True)
        assert np.allclose(found[name].unimodal, expected, atol=1e-6)
        assert np.allclose(found[name].multimodal, together[column], atol=1e-6)
        assert np.allclose(found[name].inputs, encoded.inputs[column].detach(), atol=1e-6)


# Folds


def test_folds_are_alike() -> None:
    truth = np.repeat([0, 1, 2], [50, 25, 10])
    folds = divide(CLASSIFY, np.random.default_rng(0).permutation(truth), 0)
    assert folds.count == 5
    assert (np.bincount(folds.of) == 17).all()
    ordered = np.random.default_rng(0).permutation(truth)
    for value, each in ((0, 10), (1, 5), (2, 2)):
        assert (np.bincount(folds.of[ordered == value], minlength=5) == each).all()


@pytest.mark.parametrize(
    ("truth", "count"), [([0, 1], 0), ([0, 0, 0, 1], 0), ([0, 0, 1, 1], 4), ([0, 1] * 5, 5)]
)
def test_few_labels_have_few_folds(truth: list[int], count: int) -> None:
    folds = divide(CLASSIFY, np.array(truth), 0)
    assert folds.count == count
    if count:
        for fold in range(count):
            kept = np.array(truth)[folds.of != fold]
            assert len(set(kept)) == 2, "a member sees every class"


@pytest.mark.parametrize("target", [CLASSIFY, SEVERAL], ids=lambda t: t.kind.value)
def test_what_members_say_of_unseen_labels_reaches_strategies_also_after_a_reload(
    target: Target, tmp_path: Path
) -> None:
    inputs, truth = project(200)
    labels = np.eye(4)[truth] if target is SEVERAL else truth
    rows = np.arange(60)
    model = train(
        inputs.take(rows), {"kind": labels[rows]}, schema_of(target), AUTO, pool=inputs, seed=0
    )
    checkpoint.save(model, tmp_path / "v1")
    auto = STRATEGIES["auto"]
    needs = auto.needs_for(target.kind, {})
    rest = inputs.take(np.arange(60, 200))
    orders = []
    for one in (model, checkpoint.load(tmp_path / "v1", device="cpu")):
        pool = look(one, rest, needs, labelled=inputs.take(rows))
        held_out = pool.held_out
        assert held_out is not None
        assert held_out.probabilities.shape == (60, 4)
        hits = (held_out.probabilities >= 0.5) == (np.eye(4)[truth[rows]] >= 0.5)
        assert hits.mean() > 0.8  # they are these labels', in their order
        selection = auto(pool, 10, np.random.default_rng(0))
        assert selection.notes["temperature"] != 1.0
        orders.append(selection.order.tolist())
    assert orders[0] == orders[1]
