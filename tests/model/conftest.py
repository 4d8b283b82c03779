"""Small real media, written on the spot, and a project of two modalities."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from PIL import Image

from model.cache import FeatureCache
from model.inputs import Column, Inputs
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


def clip(
    level: int, tone: float | None = None, frames: int = 8, seed: int = 0, size: int = 48
) -> bytes:
    """Return an MP4 whose pictures have a grey level and whose sound, if any, has one pitch."""
    import av

    rng = np.random.default_rng(seed)
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=8)
        video.width = video.height = size
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono") if tone else None
        for _ in range(frames):
            pixels = rng.integers(0, 60, (size, size, 3)) + level
            picture = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode())
        if audio is not None:
            wave = 0.4 * np.sin(2 * np.pi * tone * np.arange(16000 * frames // 8) / 16000)
            wave += rng.normal(0, 0.02, wave.size)
            for start in range(0, len(wave), 1024):
                part = wave[None, start : start + 1024].astype(np.float32)
                sound = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                sound.rate, sound.pts = 16000, start
                container.mux(audio.encode(sound))
            container.mux(audio.encode())
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


def inputs_of(arrays: list[np.ndarray], present: np.ndarray | None = None) -> Inputs:
    """Return inputs of (N, D_m) vectors, as if prepared by the sequence encoder `mlp`."""
    size = len(arrays[0])
    here = np.ones((size, len(arrays)), bool) if present is None else present
    columns = []
    for column, values in enumerate(arrays):
        row = np.where(here[:, column], np.arange(size), -1).astype(np.int64)
        shard = np.where(here[:, column], 0, -1).astype(np.int32)
        shape = values.shape[1:]
        columns.append(Column("sequence-mean/2", shape, (values.astype(np.float32),), shard, row))
    return Inputs(size, here, (), tuple(columns))


def vector_schema(names: tuple[str, ...], *targets: Target) -> Schema:
    """Return a schema of sequence modalities."""
    return Schema(tuple(Modality(n, ModalityKind.SEQUENCE, n) for n in names), targets)
