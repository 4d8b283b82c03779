"""Several questions about the same tasks: each as if alone, and what they come to together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from model import checkpoint, losses
from model.evaluation import evaluate
from model.inputs import Inputs
from model.look import look, predicted
from model.model import Model
from model.presets import preset
from model.schema import Schema, Target
from model.training import train
from strategies.pool import Need, TargetKind
from strategies.shapley import all_coalitions
from tests.model.conftest import inputs_of, vector_schema

NAMES, SIZE = ("t", "a"), 40
CLASS = Target("kind", TargetKind.CLASSIFICATION, ("a", "b", "c"))
SEVERAL = Target("marks", TargetKind.MULTILABEL, ("x", "y"))
NUMBER = Target("size", TargetKind.REGRESSION, low=0.0, high=10.0)
QUESTIONS = (CLASS, SEVERAL, NUMBER)
PRESETS = {
    "auto": preset("auto"),
    **{
        fusion: preset("quick", projection=6, min_steps=10, epochs=1, fusion=fusion)
        for fusion in ("concat", "sum", "mlp", "nl_gate")
    },
}


def inputs() -> Inputs:
    rng = np.random.default_rng(0)
    return inputs_of([rng.normal(size=(SIZE, 4)), rng.normal(size=(SIZE, 5))])


def labels() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    found = {
        "kind": rng.integers(0, 3, SIZE),
        "marks": rng.random((SIZE, 2)).round(),
        "size": rng.uniform(0, 10, SIZE),
    }
    found["kind"][:7] = -1
    found["marks"][5:15] = np.nan
    found["size"][::3] = np.nan
    return found


def fitted(name: str, *targets: Target, truth: dict[str, np.ndarray] | None = None) -> Model:
    schema = vector_schema(NAMES, *(targets or QUESTIONS))
    return train(inputs(), truth or labels(), schema, PRESETS[name], device="cpu")


@pytest.fixture(autouse=True)
def _vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared arrays that `auto` reads as vectors of one view."""
    from model.encoders import registry
    from model.encoders.base import Encoder
    from model.encoders.scaling import Scaled
    from model.encoders.views import View
    from model.schema import ModalityKind

    known = registry.ENCODERS[ModalityKind.SEQUENCE]
    print_ = inputs().columns[0].fingerprint

    def build(modality, source, chosen):
        views = (View("signal", 0),)
        return Encoder(print_, np.asarray, lambda shape: Scaled(views, shape[0]), views=views)

    monkeypatch.setitem(known, "vector", build)


@pytest.mark.parametrize("target", QUESTIONS, ids=lambda t: t.name)
def test_on_prepared_vectors_each_question_is_learned_as_if_alone(target: Target) -> None:
    together, alone = fitted("auto"), fitted("auto", target)
    found, expected = together.predict(inputs()), alone.predict(inputs())
    np.testing.assert_array_equal(found[target.name], expected[target.name])


def test_the_first_question_sees_its_pool_as_if_alone() -> None:
    needs = frozenset({Need.PROBABILITIES, Need.FEATURES, Need.MC_PROBABILITIES, Need.LINEAR_HEAD})
    found = look(fitted("auto"), inputs(), needs)
    expected = look(fitted("auto", CLASS), inputs(), needs)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    np.testing.assert_array_equal(found.mc_probabilities, expected.mc_probabilities)
    np.testing.assert_array_equal(found.linear_head.weight, expected.linear_head.weight)
    assert [one.target for one in found.further] == [SEVERAL.kind, NUMBER.kind]
    assert expected.further == ()


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("targets", [QUESTIONS, (NUMBER, CLASS), (SEVERAL, NUMBER, CLASS)])
def test_a_look_predicts_every_question_whichever_ranks(
    name: str, targets: tuple[Target, ...]
) -> None:
    if name == "sum":
        pytest.skip("adds the modalities' answers, which are the same question's")
    model = fitted(name, *targets)
    pool, expected = look(model, inputs(), frozenset({Need.PROBABILITIES})), model.predict(inputs())
    found = predicted(model, pool, inputs())
    assert found.keys() == expected.keys()
    for question, values in expected.items():
        np.testing.assert_array_equal(found[question], values)


@pytest.mark.parametrize("name", PRESETS)
def test_coalition_values_are_means_over_the_questions_with_classes(name: str) -> None:
    if name == "sum":
        pytest.skip("adds the modalities' answers, which are the same question's")
    model = fitted(name)
    pool = look(model, inputs(), frozenset({Need.COALITIONS, Need.PROBABILITIES}))
    network, (_, batch) = model.network, next(iter(model.stream(inputs())))
    first, second = (p.probabilities for p in (pool, pool.further[0]))
    with torch.no_grad():
        encoded = network.encode(batch)
        features = network.features(encoded.activations, encoded.present)
        for group in all_coalitions(NAMES):
            masked = [z * float(n in group) for n, z in zip(NAMES, features, strict=True)]
            (_, one), (_, two), _ = network.answers(masked, masked)
            p, q = one.softmax(dim=1).numpy(), two.sigmoid().numpy()
            own = p[np.arange(SIZE), first.argmax(axis=1)]
            other = np.where(second >= 0.5, q, 1 - q).mean(axis=1)
            np.testing.assert_allclose(pool.coalitions[group], (own + other) / 2, atol=1e-6)


def at_pseudo_label(target: Target, logits: torch.Tensor) -> torch.Tensor:
    if target.kind is TargetKind.CLASSIFICATION:
        return functional.cross_entropy(logits, logits.argmax(dim=1), reduction="sum")
    if target.kind is TargetKind.MULTILABEL:
        truth = (logits >= 0).float()
        every = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        return every.mean(dim=1).sum()
    return -logits.abs().sum()


@pytest.mark.parametrize("name", ["auto", "concat", "sum", "mlp", "nl_gate"])
def test_graces_gradients_are_sums_over_the_questions(name: str) -> None:
    model = fitted(name)
    found = look(model, inputs(), frozenset({Need.GRADIENTS})).gradients
    network, (_, batch) = model.network, next(iter(model.stream(inputs())))
    encoded = network.encode(batch)
    leaves = [a.detach().requires_grad_() for a in encoded.activations]
    features = network.features(leaves, encoded.present)
    answers = network.answers(features, features)
    for column, modality in enumerate(NAMES):
        own = sum(
            at_pseudo_label(q, a[0][column])
            for q, a in zip(model.schema.questions, answers, strict=True)
        )
        shared = sum(
            at_pseudo_label(q, a[1]) for q, a in zip(model.schema.questions, answers, strict=True)
        )
        for loss, written in (
            (own, found[modality].unimodal),
            (shared, found[modality].multimodal),
        ):
            (expected,) = torch.autograd.grad(loss, leaves[column], retain_graph=True)
            np.testing.assert_allclose(written, expected.numpy(), atol=1e-5)


def test_the_loss_is_the_mean_over_a_tasks_questions() -> None:
    schema = vector_schema(("one",), *QUESTIONS)
    rng = torch.Generator().manual_seed(0)
    answers = [
        ([torch.randn(4, width, generator=rng)], torch.randn(4, width, generator=rng))
        for width in (3, 2, 1)
    ]
    truth = {
        "kind": torch.tensor([0, 2, -1, -1]),
        "marks": torch.tensor([[1.0, 0], [np.nan, np.nan], [0, 1], [np.nan, np.nan]]),
        "size": torch.tensor([0.5, np.nan, np.nan, np.nan]),
    }
    present = torch.ones(4, 1, dtype=torch.bool)
    options = preset("quick").training
    found = losses.of_questions(schema, options, answers, truth, present, {})
    expected = 0.0
    for task in range(3):  # the fourth has no label at all
        every = []
        for question, (own, fused) in zip(schema.questions, answers, strict=True):
            y = truth[question.name][task : task + 1]
            if not losses.known(question.kind, y).all():
                continue
            each = [
                losses.per_sample(question.kind, f[task : task + 1], y, None)
                for f in (own[0], fused)
            ]
            every.append(sum(each) / 2)
        expected = expected + sum(every) / len(every)
    torch.testing.assert_close(found, (expected / 3)[0])


@pytest.mark.parametrize("name", PRESETS)
def test_a_question_with_too_few_labels_waits(name: str) -> None:
    truth = labels()
    truth["kind"] = np.where(truth["kind"] > 0, -1, truth["kind"])  # only one class yet
    truth["marks"][:] = np.nan
    model = fitted(name, truth=truth)
    assert model.metadata["waiting"] == ["kind", "marks"]
    assert set(model.predict(inputs())) == {"size"}
    pool = look(model, inputs(), frozenset({Need.PROBABILITIES}))
    assert (pool.target, pool.further) == (TargetKind.REGRESSION, ())


def test_a_single_question_waits_for_nothing() -> None:
    truth = {"kind": np.zeros(SIZE, int)}
    assert "waiting" not in fitted("auto", CLASS, truth=truth).metadata


@pytest.mark.parametrize("name", PRESETS)
def test_a_checkpoint_keeps_every_question(name: str, tmp_path: Path) -> None:
    model, whole = fitted(name), vector_schema(NAMES, *QUESTIONS)
    checkpoint.save(model, tmp_path / "one")
    again = checkpoint.load(tmp_path / "one", device="cpu", expect=whole)
    for target, values in model.predict(inputs()).items():
        np.testing.assert_array_equal(again.predict(inputs())[target], values)
    truth = {**labels(), "marks": np.full((SIZE, 2), np.nan)}
    checkpoint.save(fitted(name, truth=truth), tmp_path / "two")
    assert checkpoint.load(tmp_path / "two", device="cpu", expect=whole).schema.targets == (
        CLASS,
        NUMBER,
    )


def test_metrics_name_their_question() -> None:
    model = fitted("auto")
    found = evaluate(model, inputs(), labels())
    assert found["n"] == SIZE - 7
    assert found["n@marks"] == SIZE - 10
    size = labels()["size"]
    known = np.isfinite(size)
    gap = np.abs(model.predict(inputs())["size"] - size)[known].mean()
    assert found["mae@size"] == pytest.approx(gap, rel=1e-5)
    assert {"accuracy", "accuracy:t", "exact@marks"} <= found.keys()
    folds = model.metadata["metrics"]
    assert {"n@size", "mae@size", "macro_f1@marks"} <= folds.keys()


def test_a_pool_begins_with_a_question_that_has_classes() -> None:
    schema = vector_schema(NAMES, NUMBER, SEVERAL, CLASS)
    assert [q.name for q in schema.questions] == ["size", "marks", "kind"]
    assert (schema.multimodal, schema.ranking) == (NUMBER, SEVERAL)
    assert schema.about(SEVERAL).targets == (SEVERAL,)
    assert Schema.from_json(schema.to_json()) == schema
    needs = frozenset({Need.PROBABILITIES, Need.COALITIONS})
    pool = look(fitted("auto", NUMBER, SEVERAL, CLASS), inputs(), needs)
    assert pool.target is SEVERAL.kind
    assert [one.target for one in pool.further] == [NUMBER.kind, CLASS.kind]
    expected = look(fitted("auto"), inputs(), needs)
    np.testing.assert_array_equal(pool.probabilities, expected.further[0].probabilities)
    np.testing.assert_allclose(pool.coalitions[frozenset("t")], expected.coalitions[frozenset("t")])
