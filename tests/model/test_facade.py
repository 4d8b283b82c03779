"""The whole way: samples, preparation, training, prediction, a look for every need, checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from model import checkpoint
from model.labels import NotEnoughLabels
from model.look import look
from model.preparation import prepare
from model.presets import preset
from model.schema import Modality, ModalityKind, Schema, Target, TargetKind
from model.training import evaluate, train
from strategies.pool import Need

QUICK = preset("quick", min_steps=40, epochs=4, projection=16)
EVERYTHING = frozenset(Need)


@pytest.fixture
def trained(samples, schema, cache):
    """A model trained on 48 samples, with its inputs and labels."""
    given, labels = samples(48)
    inputs = prepare(given, schema, QUICK.preparation, cache)
    model = train(inputs, {"height": labels}, schema, QUICK, seed=1, device="cpu")
    return model, inputs, labels


def test_learns_and_predicts_unseen_samples(trained, samples, schema, cache):
    model, _, _ = trained
    given, labels = samples(30, seed=9)
    inputs = prepare(given, schema, QUICK.preparation, cache)
    found = evaluate(model, inputs, {"height": labels})
    assert found["accuracy"] >= 0.9
    assert set(found) >= {"macro_accuracy", "f1", "ece", "accuracy:picture", "accuracy:sound"}
    probabilities = model.predict(inputs)["height"]
    assert probabilities.shape == (30, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert model.predict_unimodal(inputs)["sound"].shape == (30, 3)


def test_same_seed_gives_the_same_model_and_another_seed_another(trained, schema):
    model, inputs, labels = trained
    again = train(inputs, {"height": labels}, schema, QUICK, seed=1, device="cpu")
    other = train(inputs, {"height": labels}, schema, QUICK, seed=2, device="cpu")
    expected = model.predict(inputs)["height"]
    np.testing.assert_allclose(again.predict(inputs)["height"], expected, atol=1e-6)
    assert np.abs(other.predict(inputs)["height"] - expected).max() > 1e-4


def test_look_gives_every_need_in_the_contract_shapes(trained):
    model, inputs, _ = trained
    pool = look(model, inputs, EVERYTHING, labelled=inputs.take(range(10)), round=3, mc_passes=4)
    assert pool.size == 48
    assert pool.modalities == ("picture", "sound")
    assert pool.round == 3
    assert pool.probabilities.shape == (48, 3)
    assert pool.mc_probabilities.shape == (4, 48, 3)
    assert np.ptp(pool.mc_probabilities, axis=0).max() > 1e-3
    assert {name: z.shape for name, z in pool.features.items()} == {
        "picture": (48, 16),
        "sound": (48, 16),
    }
    assert pool.labelled_features["sound"].shape == (10, 16)
    np.testing.assert_allclose(pool.labelled_features["sound"], pool.features["sound"][:10], 1e-5)
    joined = np.concatenate([pool.features[name] for name in pool.modalities], axis=1)
    bias = model.network.fused.layer.bias.detach().numpy()
    np.testing.assert_allclose(
        joined @ pool.linear_head.weight.T + bias, pool.linear_head.logits, atol=1e-4
    )
    factors = pool.gradients["picture"]
    assert factors.inputs.shape[0] == 48
    assert factors.unimodal.shape == factors.multimodal.shape == (48, 16)


def test_look_computes_only_what_is_needed(trained):
    model, inputs, _ = trained
    pool = look(model, inputs, frozenset({Need.PROBABILITIES}))
    assert pool.features is None
    assert pool.coalitions is None
    assert pool.gradients is None
    assert pool.mc_probabilities is None


def test_coalitions_are_the_prediction_with_features_set_to_zero(trained):
    import torch

    model, inputs, _ = trained
    pool = look(model, inputs, frozenset({Need.COALITIONS, Need.FEATURES}))
    guess = pool.probabilities.argmax(axis=1)
    for group, values in pool.coalitions.items():
        masked = [
            torch.from_numpy(pool.features[name] * (name in group)) for name in pool.modalities
        ]
        expected = model.network.fused(masked, model.network.lent).softmax(dim=1).detach().numpy()
        np.testing.assert_allclose(values, expected[np.arange(48), guess], atol=1e-5)
    assert len(pool.coalitions) == 4


def test_a_stochastic_look_repeats_with_its_seed(trained):
    model, inputs, _ = trained
    needs = frozenset({Need.MC_PROBABILITIES})
    first, again, other = (look(model, inputs, needs, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.mc_probabilities, again.mc_probabilities)
    assert (first.mc_probabilities != other.mc_probabilities).any()


@pytest.mark.parametrize("missing", ["img", "wav"])
def test_a_task_that_lacks_a_modality_is_a_zero_vector(trained, samples, schema, cache, missing):
    model, _, _ = trained
    given, _ = samples(9, seed=4)
    given = [
        {**sample, missing: None} if index % 3 == 0 else sample
        for index, sample in enumerate(given)
    ]
    inputs = prepare(given, schema, QUICK.preparation, cache)
    column = 0 if missing == "img" else 1
    name = schema.names[column]
    assert inputs.present[:, column].tolist() == [i % 3 != 0 for i in range(9)]
    assert not inputs.failures
    pool = look(model, inputs, EVERYTHING, labelled=inputs)
    lacking = ~inputs.present[:, column]
    assert not pool.features[name][lacking].any()
    for factor in ("inputs", "unimodal", "multimodal"):
        assert not getattr(pool.gradients[name], factor)[lacking].any()
    without = frozenset(set(schema.names) - {name})
    full = frozenset(schema.names)
    np.testing.assert_allclose(
        pool.coalitions[full][lacking], pool.coalitions[without][lacking], rtol=1e-6
    )


@pytest.mark.parametrize("names", [("picture",), ("sound",)])
def test_one_modality_is_enough(samples, schema, cache, names):
    given, labels = samples(30)
    kept = tuple(m for m in schema.modalities if m.name in names)
    alone = Schema(kept, schema.targets)
    inputs = prepare(given, alone, QUICK.preparation, cache)
    model = train(inputs, {"height": labels}, alone, QUICK, device="cpu")
    pool = look(model, inputs, EVERYTHING, labelled=inputs)
    assert len(pool.coalitions) == 2


def test_a_modality_that_no_sample_has_trains_and_looks(samples, schema, cache):
    given, labels = samples(18)
    given = [{**sample, "wav": None} for sample in given]
    inputs = prepare(given, schema, QUICK.preparation, cache)
    model = train(inputs, {"height": labels}, schema, QUICK, device="cpu")
    assert np.isfinite(model.predict(inputs)["height"]).all()
    later, _ = samples(6, seed=8)
    both = prepare(later, schema, QUICK.preparation, cache)
    assert np.isfinite(model.predict(both)["height"]).all()


def test_unknown_labels_are_left_out_and_none_at_all_is_an_error(samples, schema, cache):
    given, labels = samples(12)
    inputs = prepare(given, schema, QUICK.preparation, cache)
    some = labels.copy()
    some[6:] = -1
    assert train(inputs, {"height": some}, schema, QUICK).metadata["n_labels"] == 6
    with pytest.raises(NotEnoughLabels, match="label some first"):
        train(inputs, {"height": np.full(12, -1)}, schema, QUICK)


def test_checkpoint_gives_the_same_predictions(trained, tmp_path, schema):
    model, inputs, _ = trained
    checkpoint.save(model, tmp_path / "v1")
    loaded = checkpoint.load(tmp_path / "v1", device="cpu", expect=schema)
    np.testing.assert_array_equal(loaded.predict(inputs)["height"], model.predict(inputs)["height"])
    assert loaded.metadata["n_labels"] == 48
    assert loaded.metadata["versions"]["torch"]
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["v1"]


def test_checkpoint_refuses_a_changed_config_and_says_what_changed(trained, tmp_path, schema):
    model, _, _ = trained
    checkpoint.save(model, tmp_path / "v1")
    target = replace(schema.multimodal, classes=("low", "high", "extreme"))
    with pytest.raises(checkpoint.CheckpointError, match=r"gained \['extreme'\].*'middle'"):
        checkpoint.load(tmp_path / "v1", expect=Schema(schema.modalities, (target,)))


def test_checkpoint_of_a_release_that_prepared_media_otherwise_is_refused(trained, tmp_path):
    model, _, _ = trained
    checkpoint.save(model, tmp_path / "v1")
    path = tmp_path / "v1" / "model.json"
    content = json.loads(path.read_text())
    name = next(name for name, shape in content["shapes"].items() if shape)
    content["fingerprints"][name] = "pixels/0"
    path.write_text(json.dumps(content))
    with pytest.raises(checkpoint.CheckpointError, match=r"'pixels/0', this version.*train again"):
        checkpoint.load(tmp_path / "v1")


def test_checkpoint_errors_say_what_to_do(trained, tmp_path):
    model, _, _ = trained
    with pytest.raises(checkpoint.CheckpointError, match="train one first"):
        checkpoint.load(tmp_path / "nothing")
    checkpoint.save(model, tmp_path / "v1")
    weights = tmp_path / "v1" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(checkpoint.CheckpointError, match="train again"):
        checkpoint.load(tmp_path / "v1")


def test_text_video_and_sequence_modalities(cache):
    rng = np.random.default_rng(0)
    modalities = (
        Modality("words", ModalityKind.TEXT, "text"),
        Modality("steps", ModalityKind.SEQUENCE, "steps"),
    )
    schema = Schema(modalities, (Target("tone", TargetKind.CLASSIFICATION, ("bad", "good")),))
    labels = np.arange(40) % 2
    given = [
        {
            "text": f"this is {'great fun' if label else 'a sad mess'} number {index}",
            "steps": (rng.normal(size=(7, 5)) + label).tolist(),
        }
        for index, label in enumerate(labels)
    ]
    inputs = prepare(given, schema, QUICK.preparation, cache)
    model = train(inputs, {"tone": labels}, schema, QUICK, device="cpu")
    assert evaluate(model, inputs, {"tone": labels})["accuracy"] == 1.0
