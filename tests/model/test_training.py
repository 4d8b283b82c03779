"""Losses, schedules, label noise, imbalance, early stopping and the metrics of every target."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model import checkpoint, labels, losses, metrics, optimisation
from model.labels import NotEnoughLabels
from model.look import look, predicted
from model.presets import PRESETS, preset
from model.schema import Target, TargetKind
from model.training import evaluate, train
from strategies.pool import Need
from tests.model.conftest import inputs_of, vector_schema

LETTERS = ("a", "b", "c")
CHOICE = Target("y", TargetKind.CLASSIFICATION, LETTERS)
FAST = preset("quick", projection=16, min_steps=120, epochs=2)


def separable(size: int, seed: int = 0, noise: float = 0.6):
    """Return two modalities that together tell three classes, and the classes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, size)
    first = rng.normal(0, noise, (size, 4))
    first[:, 0] += 3.0 * (truth == 0)
    second = rng.normal(0, noise, (size, 5))
    second[:, 1] += 3.0 * (truth == 1)
    return inputs_of([first, second]), truth


SHARED = vector_schema(("one", "two"), CHOICE)


def test_both_modalities_together_beat_each_alone_and_contribute():
    inputs, truth = separable(300)
    model = train(inputs.take(range(150)), {"y": truth[:150]}, SHARED, FAST, device="cpu")
    found = evaluate(model, inputs.take(range(150, 300)), {"y": truth[150:]})
    assert found["accuracy"] > max(found["accuracy:one"], found["accuracy:two"]) + 0.1
    shares = [found["contribution:one"], found["contribution:two"]]
    assert sum(shares) == pytest.approx(1, abs=1e-6)
    assert min(shares) > 0.2


@pytest.mark.parametrize("fusion", ["concat", "sum", "mlp", "nl_gate"])
def test_every_fusion_learns(fusion):
    inputs, truth = separable(300)
    chosen = preset("quick", projection=16, min_steps=200, fusion=fusion)
    model = train(inputs.take(range(200)), {"y": truth[:200]}, SHARED, chosen, device="cpu")
    assert evaluate(model, inputs.take(range(200, 300)), {"y": truth[200:]})["accuracy"] > 0.85


def test_multilabel():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (200, 3)).astype(float)
    inputs = inputs_of([truth[:, :2] + rng.normal(0, 0.2, (200, 2)), truth[:, 2:] * 2])
    target = Target("tags", TargetKind.MULTILABEL, LETTERS)
    schema = vector_schema(("one", "two"), target)
    given = {"tags": truth.copy()}
    given["tags"][150:] = np.nan
    model = train(inputs, given, schema, FAST, device="cpu")
    assert model.metadata["n_labels"] == 150
    found = evaluate(model, inputs.take(range(150, 200)), {"tags": truth[150:]})
    assert found["f1"] > 0.95
    assert set(found) >= {"accuracy", "exact", "macro_f1", "accuracy:one"}
    predicted = model.predict(inputs)["tags"]
    assert predicted.shape == (200, 3)
    assert not np.allclose(predicted.sum(axis=1), 1)


def test_regression_keeps_the_units_and_takes_an_open_range_from_the_labels(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.uniform(50, 90, 240)
    scaled = (values - 70) / 20
    inputs = inputs_of([scaled[:, None] + rng.normal(0, 0.1, (240, 3)), rng.normal(size=(240, 2))])
    schema = vector_schema(("one", "two"), Target("kg", TargetKind.REGRESSION))
    model = train(inputs.take(range(200)), {"kg": values[:200]}, schema, FAST, device="cpu")
    assert model.ranges["kg"] == pytest.approx((values[:200].min(), values[:200].max()))
    found = evaluate(model, inputs.take(range(200, 240)), {"kg": values[200:]})
    assert found["mae"] < 3
    assert found["corr"] > 0.9
    assert set(found) >= {"acc2", "acc3", "acc5", "acc7", "f1", "mae:one"}
    checkpoint.save(model, tmp_path / "m")
    again = checkpoint.load(tmp_path / "m", device="cpu")
    np.testing.assert_array_equal(again.predict(inputs)["kg"], model.predict(inputs)["kg"])


def test_bounded_regression_stays_in_its_range():
    inputs, truth = separable(60)
    schema = vector_schema(("one", "two"), Target("y", TargetKind.REGRESSION, low=-1.0, high=1.0))
    chosen = preset("quick", fusion="mlp", bounded=True, lr=0.1, min_steps=60, projection=8)
    model = train(inputs, {"y": truth - 1.0}, schema, chosen, device="cpu")
    predicted = model.predict(inputs)["y"]
    assert predicted.min() >= -1
    assert predicted.max() <= 1


def test_each_modality_may_have_its_own_label():
    rng = np.random.default_rng(0)
    tone, look_ = rng.integers(0, 2, (2, 240))
    inputs = inputs_of(
        [
            tone[:, None] * 3 + rng.normal(size=(240, 3)),
            look_[:, None] * 3 + rng.normal(size=(240, 2)),
        ]
    )
    schema = vector_schema(
        ("sound", "face"),
        Target("overall", TargetKind.CLASSIFICATION, ("0", "1", "2")),
        Target("heard", TargetKind.CLASSIFICATION, ("low", "high"), modality="sound"),
        Target("seen", TargetKind.CLASSIFICATION, ("sad", "glad"), modality="face"),
    )
    truth = {
        "overall": tone + look_,
        "heard": tone,
        "seen": np.where(rng.random(240) < 0.5, look_, -1),
    }
    model = train(inputs, truth, schema, FAST, device="cpu")
    answers = model.predict(inputs)
    assert {name: p.shape for name, p in answers.items()} == {
        "overall": (240, 3),
        "heard": (240, 2),
        "seen": (240, 2),
    }
    found = evaluate(model, inputs, truth)
    assert found["accuracy:sound"] > 0.85
    assert found["accuracy:face"] > 0.85
    pool = look(model, inputs, frozenset({Need.GRADIENTS, Need.COALITIONS}))
    assert pool.gradients["sound"].unimodal.any()
    seen = predicted(model, look(model, inputs, frozenset({Need.PROBABILITIES})), inputs)
    assert seen.keys() == answers.keys(), "a modality's own answers are computed beside"
    assert all(np.array_equal(seen[name], values) for name, values in answers.items())
    with pytest.raises(ValueError, match="choose fusion concat or mlp"):
        train(inputs, truth, schema, preset("quick", fusion="sum"))


@pytest.mark.parametrize("shares", [None, torch.zeros(6)])
def test_where_nothing_is_known_the_loss_is_0_and_its_gradient_too(shares):
    logits = torch.randn(6, 3, requires_grad=True)
    nothing = torch.full((6,), -1)
    target = Target("y", TargetKind.CLASSIFICATION, LETTERS)
    found = losses.masked_mean(
        target, logits, nothing, torch.ones(6, dtype=torch.bool), None, shares
    )
    found.backward()
    assert found.item() == 0
    assert not logits.grad.any()


def test_joint_loss_is_the_mean_with_one_label_and_weighted_with_several():
    logits = [torch.randn(6, 3), torch.randn(6, 3)]
    fused = torch.randn(6, 3)
    y = torch.tensor([0, 1, 2, 0, -1, 1])
    present = torch.ones(6, 2, dtype=torch.bool)
    present[1, 0] = False
    cross = torch.nn.functional.cross_entropy
    mine = losses.joint(SHARED, FAST.training, (logits, fused), {"y": y}, present, {})
    known = torch.tensor([0, 1, 2, 3, 5])
    first = torch.tensor([0, 2, 3, 5])
    expected = (
        cross(fused[known], y[known])
        + cross(logits[0][first], y[first])
        + cross(logits[1][known], y[known])
    ) / 3
    torch.testing.assert_close(mine, expected)  # BMMAL Eq. 1
    own = Target("z", TargetKind.CLASSIFICATION, LETTERS, modality="one")
    several = vector_schema(("one", "two"), CHOICE, own)
    weighted = preset("quick", loss_weights={"one": 0.2, "two": 0.8, "multimodal": 1.0})
    mine = losses.joint(several, weighted.training, (logits, fused), {"y": y, "z": y}, present, {})
    expected = (
        cross(fused[known], y[known])
        + 0.2 * cross(logits[0][first], y[first])
        + 0.8 * cross(logits[1][known], y[known])
    )
    torch.testing.assert_close(mine, expected)


def test_soft_labels_teach_the_shares_of_annotators():
    inputs = inputs_of([np.zeros((80, 2)), np.zeros((80, 2))])
    soft = np.tile([[0.7, 0.3, 0.0]], (80, 1))
    chosen = preset("quick", projection=8, min_steps=300, dropout=0.0)
    model = train(inputs, {"y": soft}, SHARED, chosen, device="cpu")
    np.testing.assert_allclose(model.predict(inputs)["y"][0], [0.7, 0.3, 0.0], atol=0.06)
    assert evaluate(model, inputs, {"y": soft})["accuracy"] == 1.0


def test_class_weights_lift_a_rare_class():
    rng = np.random.default_rng(0)
    truth = (rng.random(400) < 0.06).astype(int) * 2
    inputs = inputs_of(
        [truth[:, None] * 0.6 + rng.normal(size=(400, 3)), rng.normal(size=(400, 2))]
    )
    recall = []
    for weighted in (False, True):
        chosen = preset("quick", projection=8, min_steps=100, class_weights=weighted)
        model = train(inputs, {"y": truth}, SHARED, chosen, device="cpu")
        guess = model.predict(inputs)["y"].argmax(axis=1)
        recall.append((guess[truth == 2] == 2).mean())
    assert recall[1] > recall[0] + 0.2


def test_class_weights_by_hand():
    chosen = preset("quick", class_weights=True)
    found = losses.class_weights(
        SHARED, chosen.training, {"y": torch.tensor([0, 0, 0, 1, -1])}, np.arange(5)
    )
    torch.testing.assert_close(found["y"], torch.tensor([4 / 9, 4 / 3, 1.0]))


def test_early_stopping_returns_to_the_best_epoch_and_reports_held_back_metrics():
    inputs, truth = separable(120, noise=3.0)
    base = {"projection": 64, "epochs": 60, "min_steps": 0, "lr": 1e-2, "schedule": "constant"}
    held = {"validation_share": 0.25, "validation_min": 100}
    stopped = train(
        inputs, {"y": truth}, SHARED, preset("quick", **base, **held, patience=3), device="cpu"
    )
    full = train(inputs, {"y": truth}, SHARED, preset("quick", **base, **held), device="cpu")
    assert stopped.metadata["epochs"] < 60 == full.metadata["epochs"]
    assert stopped.metadata["held_back"] == 30
    assert "accuracy" in stopped.metadata["metrics"]
    assert "contribution:one" in stopped.metadata["metrics"]
    few = preset("quick", **base, validation_share=0.25, validation_min=500, patience=3)
    assert train(inputs, {"y": truth}, SHARED, few, device="cpu").metadata["metrics"] == {}


def test_early_stopping_gives_the_weights_of_the_best_epoch():
    inputs, truth = separable(120, noise=3.0)
    base = {"projection": 64, "min_steps": 0, "lr": 3e-3, "schedule": "constant"}
    held = {"validation_share": 0.25, "validation_min": 100}

    def trained(epochs: int, patience: int):
        chosen = preset("quick", **base, **held, epochs=epochs, patience=patience)
        return train(inputs, {"y": truth}, SHARED, chosen, device="cpu")

    def same(one, other):
        return all(map(torch.equal, one.network.state_dict().values(), other.values()))

    stopped = trained(60, patience=4)
    best = stopped.metadata["epochs"] - 4
    assert 2 < best < 56  # a loss that is 0 or never falls would be best at the first epoch
    assert same(stopped, trained(best, patience=0).network.state_dict())
    assert not same(stopped, trained(best + 4, patience=0).network.state_dict())
    assert same(trained(best, patience=best), stopped.network.state_dict())


def test_held_back_labels_teach_nothing():
    inputs, truth = separable(120, noise=3.0)
    held = {"validation_share": 0.25, "validation_min": 100, "patience": 0}
    chosen = preset("quick", projection=8, min_steps=0, epochs=2, **held)
    first = train(inputs, {"y": truth}, SHARED, chosen, device="cpu")
    rows = np.random.default_rng(0).permutation(120)[:30]  # seed 0, a quarter
    other = truth.copy()
    other[rows] = (other[rows] + 1) % 3
    again = train(inputs, {"y": other}, SHARED, chosen, device="cpu")
    np.testing.assert_array_equal(first.predict(inputs)["y"], again.predict(inputs)["y"])
    assert first.metadata["metrics"]["n"] == 30
    assert first.metadata["metrics"]["accuracy"] != again.metadata["metrics"]["accuracy"]


@pytest.mark.parametrize("ends", [(50.0, 90.0), (None, None), (0.0, 100.0)])
def test_where_nothing_tells_samples_apart_a_number_is_their_median(ends):
    values = np.full(80, 85.0)
    values[:8], values[8:20] = 50.0, 90.0
    low, high = ends
    target = Target("kg", TargetKind.REGRESSION, low=low, high=high)
    inputs = inputs_of([np.zeros((80, 2)), np.zeros((80, 2))])
    chosen = preset("quick", projection=8, min_steps=300, dropout=0.0)
    model = train(
        inputs, {"kg": values}, vector_schema(("one", "two"), target), chosen, device="cpu"
    )
    assert model.predict(inputs)["kg"] == pytest.approx(np.full(80, 85.0), abs=1.0)
    assert model.predict_unimodal(inputs)["one"] == pytest.approx(np.full(80, 85.0), abs=1.0)


def test_parameter_groups_warm_up_and_milestones():
    from model.network import Network

    chosen = preset(
        "paper-kineticssound",
        encoders={"sequence": "mlp"},
        encoder_lr={"one": 2e-3},
        projection=4,
    )
    network = Network(SHARED, chosen.preparation, chosen.network, {"one": (4,), "two": (5,)})
    optimizer = optimisation.optimizer(network, SHARED, chosen.training)
    assert isinstance(optimizer, torch.optim.Adam)
    rates = {group["lr"] for group in optimizer.param_groups}
    assert rates == {2e-3, 1e-3}
    counted = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert counted == sum(p.numel() for p in network.parameters())
    at = optimisation.factor(chosen.training, 45, per_epoch=10)
    assert at(0) == pytest.approx(0.01)
    assert at(99) == at(199) == 1.0
    assert at(200) == pytest.approx(0.1)
    assert at(449) == pytest.approx(0.001)
    cosine = optimisation.factor(PRESETS["quick"].training, 10, per_epoch=10)
    assert cosine(99) < 0.001


def test_one_sample_one_class_and_odd_batches_train():
    inputs, truth = separable(33)
    assert train(inputs, {"y": truth}, SHARED, FAST, device="cpu").metadata["n_labels"] == 33
    one = train(inputs.take([0]), {"y": truth[:1]}, SHARED, FAST, device="cpu")
    assert np.isfinite(one.predict(inputs)["y"]).all()


def test_training_leaves_the_callers_random_state_alone():
    inputs, truth = separable(20)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    train(inputs, {"y": truth}, SHARED, preset("quick", min_steps=2, epochs=1), device="cpu")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros(3, int), "3 labels for 20"),
        (np.full(20, 7), r"lie in \[-1, 2\]"),
        (np.array([0, 1, 2] * 6 + [3, 0]), r"lie in \[-1, 2\]"),
        (np.array([0, 1, 2] * 6 + [-2, -1]), r"lie in \[-1, 2\]"),
        (np.zeros((20, 2)), "2 columns for 3 classes"),
    ],
)
def test_wrong_labels_are_refused(values, reason):
    inputs, _ = separable(20)
    with pytest.raises(ValueError, match=reason):
        train(inputs, {"y": values}, SHARED, FAST)


def test_a_missing_target_is_named():
    inputs, _ = separable(20)
    with pytest.raises(NotEnoughLabels, match="'y' are missing"):
        train(inputs, {}, SHARED, FAST)


def test_inputs_of_other_encoders_are_refused():
    inputs, truth = separable(20)
    model = train(inputs, {"y": truth}, SHARED, FAST, device="cpu")
    columns = (inputs.columns[0], inputs.columns[0].__class__("other", (5,), (), *([None] * 2)))
    with pytest.raises(ValueError, match="prepare with the model's preset"):
        model.predict(inputs.__class__(20, inputs.present, (), columns))


# What several annotators add up to ----------------------------------------------------------------


def test_majority_vote_and_its_ties():
    votes = np.array([[0, 0, 1], [1, 2, -1], [-1, -1, -1], [2, 2, 2], [1, 0, -1]])
    # Over all tasks class 2 has 4 votes, class 0 and 1 have 3 each: ties go to 2, then to 0.
    assert labels.majority(votes, 3).tolist() == [0, 2, -1, 2, 0]


def test_soft_shares_and_means():
    found = labels.soft(np.array([[0, 0, 1], [-1, -1, -1]]), 2)
    np.testing.assert_allclose(found, [[2 / 3, 1 / 3], [np.nan, np.nan]], rtol=1e-6)
    np.testing.assert_allclose(
        labels.mean(np.array([[1.0, 3.0], [np.nan, 2.0], [np.nan, np.nan]])), [2.0, 2.0, np.nan]
    )
    sets = np.array([[[1.0, 0.0], [1.0, 1.0]], [[np.nan, np.nan], [0.0, 1.0]]])
    np.testing.assert_allclose(labels.mean(sets), [[1.0, 0.5], [0.0, 1.0]])
    for stray in (3, -2):
        with pytest.raises(ValueError, match=r"class indices must lie in \[-1, 2\]"):
            labels.majority(np.array([[0, 1], [2, stray]]), 3)


# Metrics by hand ----------------------------------------------------------------------------------


def test_class_metrics_by_hand():
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    truth = np.array([0, 0, 1, 1])
    found = metrics.classes(p, truth)
    assert found["accuracy"] == 0.75
    assert found["macro_accuracy"] == 0.75
    assert found["f1"] == pytest.approx((2 * 2 / 5 + 2 * 1 / 3) / 2)
    assert found["ece"] == pytest.approx((0.1 + 0.4 + 0.2 + 0.7) / 4)
    assert metrics.macro_accuracy(p, np.array([0, 0, 1, 0])) == 1.0


def test_number_metrics_by_hand():
    truth = np.array([-1.0, -0.05, 0.0, 0.5, 1.0])
    guess = np.array([-0.9, 0.05, 0.2, 0.8, 3.0])
    found = metrics.numbers(guess, truth, -1.0, 1.0)
    assert found["mae"] == pytest.approx((0.1 + 0.1 + 0.2 + 0.3 + 0.0) / 5)  # 3.0 is clipped
    assert found["acc2"] == 0.6  # 0 counts as negative
    assert found["acc3"] == 0.8
    assert found["acc5"] == 0.6
    assert found["corr"] == pytest.approx(np.corrcoef(guess.clip(-1, 1), truth)[0, 1])
    assert metrics.numbers(np.zeros(3), np.arange(3.0), 0, 2)["corr"] == 0.0
    constant = np.full(1000, 0.1, np.float32)  # whose float32 deviation is not exactly 0
    assert metrics.pearson(constant, np.arange(1000)) == 0.0
    assert metrics.pearson(1e-200 * np.arange(3), np.arange(3)) == pytest.approx(1.0)
    mosi = metrics.numbers(np.array([2.4, -0.4]), np.array([2.0, 0.0]), -3.0, 3.0)
    assert mosi["acc7"] == 1.0
