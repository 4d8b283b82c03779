"""What strategies read, against independent computations: gradients, coalitions, pseudo-labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from model.fusion import Lent
from model.look import look, predicted
from model.presets import preset
from model.schema import Target, TargetKind
from model.training import train
from strategies.pool import Need
from strategies.shapley import shapley_values
from tests.model.conftest import inputs_of, vector_schema

NAMES = ("t", "a", "v")
SIZE, CLASSES = 24, ("no", "maybe", "yes")
TARGETS = {
    "classification": Target("y", TargetKind.CLASSIFICATION, CLASSES),
    "multilabel": Target("y", TargetKind.MULTILABEL, CLASSES),
    "regression": Target("y", TargetKind.REGRESSION, low=-1.0, high=3.0),
}
FUSIONS = ("concat", "sum", "mlp", "nl_gate")


def arrays(seed: int = 0, names=NAMES):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(SIZE, 3 + place)) for place in range(len(names))]


def labels_for(kind: str) -> np.ndarray:
    rng = np.random.default_rng(1)
    if kind == "classification":
        return rng.integers(0, 3, SIZE)
    return rng.random((SIZE, 3)).round() if kind == "multilabel" else rng.uniform(-1, 3, SIZE)


def trained(kind: str, fusion: str, present=None, names=NAMES, **options):
    schema = vector_schema(names, TARGETS[kind])
    plain = {"projection": 6, "min_steps": 10, "epochs": 1, "fusion": fusion}
    chosen = preset("quick", **{**plain, **options})
    inputs = inputs_of(arrays(names=names), present)
    return train(inputs, {"y": labels_for(kind)}, schema, chosen, device="cpu"), inputs


def some_missing() -> np.ndarray:
    """Return presence with every combination of missing modalities but all."""
    groups = [g for g in itertools.product([True, False], repeat=3) if any(g)]
    return np.array([groups[i % len(groups)] for i in range(SIZE)])


def per_sample_loss(kind: str, logits: torch.Tensor) -> torch.Tensor:
    """Return the loss of (1, K) logits at their own pseudo-label, written out again."""
    if kind == "classification":
        return functional.cross_entropy(logits, logits.argmax(dim=1))
    if kind == "multilabel":
        guess = (logits >= 0).float()
        return functional.binary_cross_entropy_with_logits(logits, guess)
    return -logits.abs().sum()  # the residual is -sign(prediction), wherever that is


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_factors_equal_per_sample_autograd(kind, fusion):
    """d (x) h is the gradient of the last layer's weight, sample by sample, to 1e-6."""
    model, inputs = trained(kind, fusion, some_missing())
    pool = look(model, inputs, frozenset({Need.GRADIENTS}))
    network = model.network.eval()
    for index in range(SIZE):
        _, batch = next(iter(model.stream(inputs.take([index]))))
        for column, name in enumerate(NAMES):
            weight = network.last[column].weight
            own, fused = network(batch)
            factors = pool.gradients[name]
            for logits, found in (
                (own[column], factors.unimodal[index]),
                (fused, factors.multimodal[index]),
            ):
                expected = torch.zeros_like(weight)
                if batch.present[0, column]:
                    loss = per_sample_loss(kind, logits)
                    (expected,) = torch.autograd.grad(loss, weight, retain_graph=True)
                np.testing.assert_allclose(
                    np.outer(found, factors.inputs[index]), expected.numpy(), atol=1e-6
                )


@pytest.mark.parametrize("kind", ["classification", "multilabel"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_coalitions_equal_predictions_with_features_zeroed(kind, fusion):
    model, inputs = trained(kind, fusion, some_missing())
    pool = look(model, inputs, frozenset({Need.COALITIONS}))
    network = model.network.eval()
    _, batch = next(iter(model.stream(inputs)))
    with torch.no_grad():
        encoded = network.encode(batch)
        features = network.features(encoded.activations, encoded.present)
    for group in itertools.chain.from_iterable(
        itertools.combinations(NAMES, size) for size in range(4)
    ):
        kept = [z if name in group else z * 0 for name, z in zip(NAMES, features, strict=True)]
        logits = network.multimodal_logits(kept).detach()
        if kind == "classification":
            guess = pool.probabilities.argmax(axis=1)
            expected = logits.softmax(dim=1).numpy()[np.arange(SIZE), guess]
        else:
            p = logits.sigmoid().numpy()
            expected = np.where(pool.probabilities >= 0.5, p, 1 - p).mean(axis=1)
        np.testing.assert_allclose(pool.coalitions[frozenset(group)], expected, atol=1e-5)
    phi = shapley_values(pool.coalitions, NAMES)
    gain = pool.coalitions[frozenset(NAMES)] - pool.coalitions[frozenset()]
    np.testing.assert_allclose(phi.sum(axis=1), gain, atol=1e-5)
    assert np.abs(phi[~inputs.present]).max() < 1e-6


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_modalities(fusion, count):
    names = tuple(f"m{place}" for place in range(count))
    model, inputs = trained("classification", fusion, names=names)
    pool = look(model, inputs, frozenset({Need.COALITIONS, Need.FEATURES, Need.MC_PROBABILITIES}))
    assert len(pool.coalitions) == 2**count
    assert set(pool.features) == set(names)
    assert np.isfinite(pool.mc_probabilities).all()


def test_too_many_modalities_for_shapley_is_a_clear_error():
    names = tuple(f"m{place}" for place in range(11))
    model, inputs = trained("classification", "concat", names=names)
    with pytest.raises(ValueError, match=r"11 modalities need 2\^11.*badge or entropy"):
        look(model, inputs, frozenset({Need.COALITIONS}))
    assert look(model, inputs, frozenset({Need.FEATURES})).size == SIZE


@pytest.mark.parametrize("fusion", ["concat", "sum"])
def test_linear_head_reproduces_the_logits(fusion):
    model, inputs = trained("classification", fusion)
    pool = look(model, inputs, frozenset({Need.LINEAR_HEAD, Need.FEATURES}))
    joined = np.concatenate([pool.features[name] for name in NAMES], axis=1)
    rest = pool.linear_head.logits - joined @ pool.linear_head.weight.T
    np.testing.assert_allclose(rest, rest[:1].repeat(SIZE, axis=0), atol=1e-5)  # the bias


@pytest.mark.parametrize("fusion", ["mlp", "nl_gate"])
def test_the_linear_head_behind_a_fusion_s_own_vector(fusion):
    model, inputs = trained("classification", fusion)
    pool = look(model, inputs, frozenset({Need.LINEAR_HEAD, Need.FEATURES}))
    head = pool.linear_head
    bias = next(p for n, p in model.network.fused.named_parameters() if p.shape == (3,))
    logits = pool.fused_features @ head.weight.T + bias.detach().numpy()
    np.testing.assert_allclose(head.logits, logits, atol=1e-5)


def test_a_gates_features_are_gated_alone():
    model, inputs = trained("classification", "nl_gate")
    pool = look(model, inputs, frozenset({Need.FEATURES}))
    network = model.network.eval()
    _, batch = next(iter(model.stream(inputs)))
    with torch.no_grad():
        encoded = network.encode(batch)
        z = network.features(encoded.activations, encoded.present)
        alone = network.fused.joined([z[0] * 0, z[1], z[2] * 0], network.lent).numpy()
    np.testing.assert_allclose(pool.features["a"], alone, atol=1e-6)


def test_the_gate_follows_its_formula_for_two_vectors():
    """out = v + h(softmax(theta(v) . phi([a; v])) g([a; v])): one position, so softmax is 1."""
    model, _ = trained("classification", "nl_gate", names=("v", "a"))
    gate = model.network.eval().fused
    v, a = torch.randn(5, 6), torch.randn(5, 6)
    expected = v + gate.h(gate.g[0](torch.cat([a, v], dim=1)))
    torch.testing.assert_close(gate.joined([v, a], Lent()), expected)


def test_regression_has_values_but_no_coalitions():
    model, inputs = trained("regression", "concat")
    pool = look(model, inputs, frozenset({Need.PROBABILITIES, Need.MC_PROBABILITIES}))
    assert pool.target is TargetKind.REGRESSION
    assert pool.probabilities.shape == (SIZE, 1)
    assert pool.mc_probabilities.shape == (5, SIZE, 1)
    np.testing.assert_allclose(pool.probabilities[:, 0], model.predict(inputs)["y"], atol=1e-5)
    with pytest.raises(ValueError, match="not defined for regression; choose grace"):
        look(model, inputs, frozenset({Need.COALITIONS}))


def test_pseudo_label_rules_for_regression():
    model, inputs = trained("regression", "mlp", bounded=True)
    found = {
        rule: look(model, inputs, frozenset({Need.GRADIENTS}), pseudo_label=rule).gradients
        for rule in ("polarity", "mc_mean", "teacher")
    }
    for gradients in found.values():
        assert all(np.isfinite(g.multimodal).all() for g in gradients.values())
        assert any(np.abs(g.multimodal).max() > 0 for g in gradients.values())
    own = model.predict_unimodal(inputs)["t"]
    fused = model.predict(inputs)["y"]
    # Teacher: the head is pulled towards the multimodal value; polarity: towards its own side.
    head = model.network.heads[0].weight.detach().numpy()[0]
    direction = found["teacher"]["t"].unimodal @ head
    moved = np.abs(direction) > 1e-9
    assert moved.any()
    assert (np.sign(direction) == np.sign(own - fused))[moved].all()
    direction = found["polarity"]["t"].unimodal @ head
    moved = np.abs(direction) > 1e-9
    assert (np.sign(direction) == -np.sign(own - 1.0))[moved].all()  # the midpoint of -1 and 3
    with pytest.raises(ValueError, match="polarity, mc_mean, teacher"):
        look(model, inputs, frozenset({Need.GRADIENTS}), pseudo_label="nearest")


def test_networks_that_lack_what_is_needed_say_so():
    bare, inputs = trained("classification", "concat", projection=None, dropout=0.0)
    assert look(bare, inputs, frozenset({Need.FEATURES})).features["t"].shape == (SIZE, 128)
    with pytest.raises(ValueError, match="last layer, which this network lacks"):
        look(bare, inputs, frozenset({Need.GRADIENTS}))
    with pytest.raises(ValueError, match="no dropout"):
        look(bare, inputs, frozenset({Need.MC_PROBABILITIES}))
    with pytest.raises(ValueError, match="pass labelled"):
        look(bare, inputs, frozenset({Need.LABELLED_FEATURES}))
    with pytest.raises(ValueError, match="empty"):
        look(bare, inputs.take([]), frozenset({Need.FEATURES}))


def test_batches_do_not_change_what_is_seen(monkeypatch):
    import model.model

    trained_model, inputs = trained("classification", "concat", some_missing())
    needs = frozenset(Need) - {Need.MC_PROBABILITIES, Need.LABELLED_FEATURES}
    whole = look(trained_model, inputs, needs)
    monkeypatch.setattr(model.model, "_MOST", 7)
    parts = look(trained_model, inputs, needs)
    for name in NAMES:
        np.testing.assert_allclose(whole.features[name], parts.features[name], atol=1e-6)
        np.testing.assert_allclose(
            whole.gradients[name].multimodal, parts.gradients[name].multimodal, atol=1e-6
        )


def test_maps_of_video_and_sound_are_gated_before_the_fourth_stage(cache):
    """The paper's NL-gate on maps of R(2+1)D-18 and ResNet-18, one sample lacking each."""
    from model.preparation import prepare
    from model.schema import Modality, ModalityKind, Schema
    from tests.model.conftest import clip, reference, wav

    modalities = (
        Modality("sound", ModalityKind.AUDIO, "s"),
        Modality("frames", ModalityKind.VIDEO, "v"),
    )
    schema = Schema(modalities, (Target("y", TargetKind.CLASSIFICATION, ("a", "b")),))
    chosen = preset(
        "paper-vggsound",
        encoders={ModalityKind.VIDEO: "r2plus1d_18:scratch"},
        fusion="nl_gate",
        epochs=1,
        batch_size=4,
        video_resize=(36, 36),
        video_crop=32,
        video_frames=2,
        video_stored=4,
        audio_seconds=1.0,
        audio_crop=0.5,
    )
    sound = wav(np.random.default_rng(0).normal(0, 0.1, 4000))
    samples = [
        {"v": reference(f"v{n}", clip(60 * n)), "s": reference(f"s{n}", sound)} for n in range(4)
    ]
    samples[1]["v"] = samples[2]["s"] = None
    inputs = prepare(samples, schema, chosen.preparation, cache)
    model = train(inputs, {"y": np.array([0, 1, 0, 1])}, schema, chosen, device="cpu")
    assert model.network.by_maps
    pool = look(model, inputs, frozenset({Need.FEATURES, Need.COALITIONS, Need.MC_PROBABILITIES}))
    assert pool.features["sound"].shape == pool.features["frames"].shape == (4, 512)
    assert not pool.features["frames"][1].any()
    assert not pool.features["sound"][2].any()
    lacking = look(model, inputs.take([1]), frozenset({Need.COALITIONS}))
    np.testing.assert_allclose(
        lacking.coalitions[frozenset(schema.names)],
        pool.coalitions[frozenset(schema.names)][1:2],
        atol=1e-5,
    )
    with pytest.raises(ValueError, match="nl_gate on maps"):
        look(model, inputs, frozenset({Need.GRADIENTS}))


def scaled(model, factor):
    """Make predictions larger, beyond the range that labels are in."""
    with torch.no_grad():
        for layer in (*model.network.heads, model.network.fused.layer):
            layer.weight *= factor
    return model


def test_polarity_pulls_towards_the_side_of_the_prediction_beyond_the_range_too():
    model, inputs = trained("regression", "concat")
    pool = look(scaled(model, 50.0), inputs, frozenset({Need.GRADIENTS}))
    values = pool.probabilities[:, 0]
    assert (values > 3).any()
    assert (values < -1).any()
    _, batch = next(iter(model.stream(inputs)))
    own, fused = model.network(batch)
    sides = [-torch.sign(f.detach()).numpy() for f in (*own, fused)]
    for column, name in enumerate(NAMES):
        weight = model.network.linear_head(column).weight.detach().numpy()
        found = pool.gradients[name].unimodal
        assert (np.sign(found) * np.sign(sides[column] * weight) >= 0).all()
        weight = model.network.fused.weight(model.network.lent)
        shared = weight.split(model.network.widths, dim=1)[column]
        expected = np.sign(sides[3] * shared.detach().numpy())
        assert (np.sign(pool.gradients[name].multimodal) * expected >= 0).all()


@pytest.mark.parametrize("fusion", ["mlp", "nl_gate"])
def test_the_fused_vector_is_what_the_last_layer_reads(fusion):
    model, inputs = trained("classification", fusion, some_missing())
    needs = frozenset({Need.FEATURES, Need.LABELLED_FEATURES, Need.PROBABILITIES})
    pool = look(model, inputs, needs, labelled=inputs.take(range(5)))
    last = [m for m in model.network.fused.modules() if isinstance(m, torch.nn.Linear)][-1]
    logits = torch.from_numpy(pool.fused_features) @ last.weight.T + last.bias
    found = logits.detach().softmax(dim=1).numpy()
    np.testing.assert_allclose(found, pool.probabilities, atol=1e-5)
    np.testing.assert_allclose(pool.labelled_fused_features, pool.fused_features[:5], atol=1e-6)
    for name in NAMES:
        assert pool.features[name].shape == pool.fused_features.shape
    none = look(model, inputs, needs, labelled=inputs.take([]))
    assert none.labelled_fused_features.shape == (0, pool.fused_features.shape[1])


@pytest.mark.parametrize("fusion", ["concat", "sum"])
def test_a_linear_fusion_has_no_other_vector(fusion):
    model, inputs = trained("classification", fusion)
    assert look(model, inputs, frozenset({Need.FEATURES})).fused_features is None


def test_bmmal_reads_what_an_mlp_makes_of_each_modality_alone():
    model, inputs = trained("classification", "mlp")
    pool = look(model, inputs, frozenset({Need.FEATURES}))
    network = model.network.eval()
    _, batch = next(iter(model.stream(inputs)))
    with torch.no_grad():
        encoded = network.encode(batch)
        z = network.features(encoded.activations, encoded.present)
        alone = network.fused.layers[:-1](torch.cat([z[0] * 0, z[1], z[2] * 0], dim=1))
    np.testing.assert_allclose(pool.features["a"], alone.numpy(), atol=1e-6)


def test_a_gate_on_vectors_of_unequal_widths_has_gradients():
    widths = {"t": 4, "a": 6, "v": 5}
    model, inputs = trained("classification", "nl_gate", projection=widths)
    pool = look(model, inputs, frozenset({Need.GRADIENTS, Need.FEATURES, Need.COALITIONS}))
    for name, width in widths.items():
        assert pool.gradients[name].unimodal.shape == (SIZE, width)
        assert pool.features[name].shape == (SIZE, 4), "as wide as the gate's main modality"


def test_mc_mean_draws_from_the_dropout_before_the_last_layer():
    recipe = {"post_dropout": 0.3, "dropout": 0.0, "fusion_dropout": 0.3}
    model, inputs = trained("regression", "mlp", fusion_hidden=(8,), **recipe)
    needs = frozenset({Need.GRADIENTS, Need.MC_PROBABILITIES})
    pool = look(model, inputs, needs, pseudo_label="mc_mean", mc_passes=4)
    for name in NAMES:
        layer = pool.gradients[name]
        for part in (layer.unimodal, layer.multimodal):
            assert (np.abs(part).sum(axis=1) == 0).mean() < 0.3
    assert (np.ptp(pool.mc_probabilities, axis=0) > 0).mean() > 0.9


def test_mc_mean_without_any_dropout_is_refused():
    model, inputs = trained("regression", "concat", dropout=0.0)
    with pytest.raises(ValueError, match=r"no dropout to draw from.*polarity or teacher"):
        look(model, inputs, frozenset({Need.GRADIENTS}), pseudo_label="mc_mean")


def test_the_number_of_labels_is_passed_on():
    model, inputs = trained("classification", "concat")
    pool = look(model, inputs, frozenset({Need.PROBABILITIES}), labelled_count=17)
    assert pool.labelled_count == 17


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_a_look_has_predicted_is_not_computed_again(
    monkeypatch: pytest.MonkeyPatch, kind: str, fusion: str
) -> None:
    model, inputs = trained(kind, fusion, some_missing())
    expected = model.predict(inputs)
    pool = look(model, inputs, frozenset({Need.PROBABILITIES}))
    unseen = look(model, inputs, frozenset({Need.FEATURES}))
    np.testing.assert_array_equal(predicted(model, unseen, inputs)["y"], expected["y"])
    monkeypatch.delattr(type(model), "predict")
    found = predicted(model, pool, inputs)
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(found["y"], expected["y"])
