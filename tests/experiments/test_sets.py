"""The named sets: sizes, splits and what their options do."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from experiments import frozen, known
from experiments.dataset import DataError, Dataset
from experiments.sets import named
from model.arrays import Array
from model.cache import FeatureCache
from model.decoding.audio import decode_audio
from model.preparation import prepare
from model.presets import preset
from model.sample import Reference
from model.schema import ModalityKind
from strategies.pool import TargetKind

ROOT = Path(os.environ.get("EQUIPOISE_TEST_DATA", "../shared/data"))


def read(spec: str) -> Dataset:
    if not (ROOT / spec.partition(":")[0]).is_dir():
        pytest.skip(f"needs the data sets in {ROOT.name}; set EQUIPOISE_TEST_DATA")
    return named(spec, ROOT)


def sound(value: object) -> Array:
    """Return the wave of an audio value."""
    assert isinstance(value, Reference)
    return decode_audio(value.load(), 8000)


def vectors(data: Dataset, name: str, rows: range) -> list[bytes | None]:
    values = [data.samples[row][name] for row in rows]
    return [None if value is None else value.load() for value in values]  # type: ignore[union-attr]


def test_the_two_splits_of_the_digits() -> None:
    official, speakers = read("avdigits"), read("avdigits:split=speakers")
    assert (len(official.train), len(official.test)) == (2700, 300)
    assert (len(speakers.train), len(speakers.test)) == (2000, 1000)
    assert official.name == "avdigits-official"
    assert set(official.labels["digit"].tolist()) == set(range(10))


@pytest.mark.parametrize("features", ["media", "simple"])
def test_noise_and_gaps_touch_one_modality_only(features: str) -> None:
    plain = read(f"avdigits:features={features}")
    noisy = read(f"avdigits:features={features}+image_noise=1+audio_missing=0.3")
    rows = range(200)
    assert vectors(plain, "image", rows) != vectors(noisy, "image", rows)
    pairs = list(zip(vectors(plain, "audio", rows), vectors(noisy, "audio", rows), strict=True))
    assert all(other in (one, None) for one, other in pairs)
    gone = [noisy.samples[row]["audio"] is None for row in noisy.train]
    assert np.mean(gone) == pytest.approx(0.3, abs=0.001)
    assert all(noisy.samples[row]["audio"] is not None for row in noisy.test)
    simple = "-simple" if features == "simple" else ""
    assert noisy.name == f"avdigits-official-image-noise-1-audio-missing-0.3{simple}"
    assert "30% of the training tasks lack audio" in noisy.title


def test_media_are_handed_over_as_they_are(tmp_path: Path) -> None:
    """So that every preset sees them with its own encoders."""
    digits, tweets = read("avdigits:audio_noise=0.5"), read("mvsa")
    assert [m.kind for m in digits.schema.modalities] == [ModalityKind.IMAGE, ModalityKind.AUDIO]
    assert [m.kind for m in tweets.schema.modalities] == [ModalityKind.TEXT, ModalityKind.IMAGE]
    for data in (digits, tweets):
        rows = np.array([0, 1, len(data.samples) - 1])
        samples = [data.samples[row] for row in rows]
        inputs = prepare(samples, data.schema, preset("quick").preparation, FeatureCache(tmp_path))
        assert inputs.present.all(), inputs.failures
    clean, noisy = (
        sound(read(spec).samples[0]["audio"]) for spec in ("avdigits", "avdigits:audio_noise=0.5")
    )
    assert np.std(noisy - clean) == pytest.approx(0.5 * 0.063, rel=0.1)


def test_tweets_with_labels_of_their_own() -> None:
    data = read("mvsa:labels=own+target=number")
    assert (len(data.train), len(data.test)) == (3632, 879)
    assert [target.modality for target in data.schema.targets] == [None, "text", "image"]
    assert data.schema.multimodal.kind is TargetKind.REGRESSION
    assert set(np.unique(data.labels["label_image"]).tolist()) == {-1.0, 0.0, 1.0}


@pytest.mark.parametrize(("spec", "end"), [("mosi", 3.0), ("mvsa:target=number", 1.0)])
def test_numbers_have_their_stated_range(spec: str, end: float) -> None:
    data = read(spec)
    target = data.schema.multimodal
    values = np.asarray(data.labels[target.name])
    assert (target.low, target.high) == (-end, end)
    assert (values.min(), values.max()) == (-end, end), "the scale is used to its ends"


def test_reviews_are_split_by_video() -> None:
    two, three = read("mosi"), read("mosi:modalities=three+target=class")
    assert (len(two.train), len(two.test)) == (1447, 752)
    assert len(three.train) + len(three.test) == 752
    assert three.schema.names == ("text", "audio", "visual")
    videos = np.load(ROOT / "mosi" / "mosi.npz")["test_video"]
    assert not set(videos[three.train]) & set(videos[three.test])


def test_digits_with_known_labels_are_centred_vectors_made_harder_by_noise() -> None:
    read("avdigits")  # or skip
    noisy = known.digits(ROOT)
    assert noisy.x.shape == (3000, 48)
    for part in (noisy.x[:, :24], noisy.x[:, 24:]):
        assert np.abs(part.mean(axis=0)).max() < 0.02
        expected = 1 + known.NOISE**2
        assert np.square(part).sum(axis=1).mean() == pytest.approx(expected, rel=0.01)
    few = np.array([3, 1])
    assert noisy.take(few).truth.tolist() == noisy.truth[few].tolist()
    assert noisy.target.classes == tuple("0123456789")


def test_frozen_vectors_have_mean_square_length_one_in_each_modality() -> None:
    spec = "mosi:modalities=three+target=class"
    data, found = read(spec), frozen.vectors(spec, ROOT)
    assert list(found.features) == list(data.schema.names)
    for values in found.features.values():
        assert np.square(values).sum(axis=1).mean() == pytest.approx(1, rel=1e-3)
    assert np.array_equal(found.truth, data.labels[data.schema.multimodal.name])
    rows = np.array([5, 2])
    joined = np.concatenate([values[rows] for values in found.features.values()], axis=1)
    assert np.array_equal(found.joined(rows), joined)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    for name in ("mosi.npz", "avdigits_features.npz", "avdigits_raw.tar.gz", "mvsa_raw96.tar"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 not really")
    for name in ("mosi", "avdigits", "mvsa"):
        with pytest.raises(DataError, match=f"files of {name} .* are damaged"):
            named(name, tmp_path)
