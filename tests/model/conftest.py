"""Small real media, written on the spot, and a project of two modalities."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from PIL import Image

from model.cache import FeatureCache
from model.sample import Reference, Sample
from model.schema import Modality, ModalityKind, Schema, Target, TargetKind

CLASSES = ("low", "middle", "high")


def png(array: np.ndarray, **options) -> bytes:
    """Return an array as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "png", **options)
    return stream.getvalue()


def wav(wave: np.ndarray, rate: int = 8000, **options) -> bytes:
    """Return samples as a WAV file."""
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate, format="WAV", **options)
    return stream.getvalue()


def reference(key: str, data: bytes) -> Reference:
    """Return a reference to bytes in memory."""
    return Reference(key, lambda: data)


def make_sample(label: int, rng: np.random.Generator) -> Sample:
    """Return a picture with a bar whose height, and a tone whose pitch, tell the class."""
    picture = rng.integers(0, 60, (24, 30, 3), dtype=np.uint8)
    picture[2 + 7 * label : 7 + 7 * label] += 150
    time = np.arange(2400) / 8000
    tone = 0.4 * np.sin(2 * np.pi * (300 + 500 * label) * time) + rng.normal(0, 0.05, 2400)
    key = rng.bytes(8).hex()
    return {"img": reference(f"i{key}", png(picture)), "wav": reference(f"w{key}", wav(tone))}


@pytest.fixture
def schema() -> Schema:
    """Image and sound with one shared choice."""
    modalities = (
        Modality("picture", ModalityKind.IMAGE, "img"),
        Modality("sound", ModalityKind.AUDIO, "wav"),
    )
    return Schema(modalities, (Target("height", TargetKind.CLASSIFICATION, CLASSES),))


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    """An empty cache."""
    return FeatureCache(tmp_path / "cache")


@pytest.fixture
def samples() -> Callable[[int], tuple[list[Sample], np.ndarray]]:
    """Make n samples and their labels."""

    def make(count: int, seed: int = 0) -> tuple[list[Sample], np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % 3
        return [make_sample(int(label), rng) for label in labels], labels

    return make
