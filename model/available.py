"""Which encoders can be had here, what each costs on this machine, and why the rest cannot."""

from __future__ import annotations

import io
import json
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from model.cache import FeatureCache
from model.encoders import torchvision_weights
from model.encoders.backbone import EncoderUnavailable
from model.encoders.packaged import PACKAGES, checked
from model.encoders.registry import BY_NAME, ENCODERS, encoder_for
from model.options import Preparation
from model.preparation import prepare
from model.presets import preset
from model.sample import Reference, Sample
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

SECONDS = 0.7
_LIBRARIES = {
    "hf": ("transformers", "transformers"),
    "timm": ("timm", "timm"),
    "open_clip": ("open_clip", "open-clip-torch"),
}
"""Encoder -> the library's module and its package."""


@dataclass(frozen=True)
class Offer:
    """One encoder of one kind of modality.

    Attributes:
        kind: of modality.
        name: as it is written in a preset.
        views: what its vectors are made of; () where it is one thing.
        seconds: to prepare 1,000 examples here, after its weights were loaded; None if it is not
            to be had.
        lacks: what is missing and how to get it; "" if nothing is.
    """

    kind: str
    name: str
    views: tuple[str, ...]
    seconds: float | None
    lacks: str


def survey() -> list[Offer]:
    """Look at every encoder, and time those that are here on an example of each kind.

    An example is a JPEG photograph of 640 x 480, a text of 12 words, 3 s of sound, 2 s of video of
    320 x 240 or 50 steps of 64 features.
    """
    return [offer(kind, name) for kind, names in ENCODERS.items() for name in names]


def missing_packages() -> list[str]:
    """Return a line for each package of weights that is absent or is not what we know."""
    lines = []
    for package in PACKAGES:
        try:
            checked(package)
        except EncoderUnavailable as error:
            lines.append(str(error))
    return lines


def offer(kind: ModalityKind, name: str) -> Offer:
    lacks = _lacks(name)
    if lacks:
        return Offer(kind, name, (), None, lacks)
    chosen = preset("quick", encoders={kind: name}).preparation
    try:
        encoder = encoder_for(Modality("x", kind, "x"), chosen)
        seconds = _seconds(kind, chosen, encoder.batch_size)
    except EncoderUnavailable as error:
        return Offer(kind, name, (), None, str(error))
    return Offer(kind, name, tuple(view.name for view in encoder.views), seconds, "")


def _lacks(name: str) -> str:
    """Say why an encoder cannot be tried without more ado; "" if it can."""
    if name in BY_NAME:
        module, package = _LIBRARIES[name]
        if find_spec(module) is None:
            return f"the library is not installed: uv pip install {package}"
        return f"name a model, which is downloaded, or a folder: {name}:<name or folder>"
    return torchvision_weights.to_download(name)


def _seconds(kind: ModalityKind, chosen: Preparation, size: int) -> float:
    """Time what a round does with new values, a batch at a time; return seconds per 1,000."""
    modality, example = Modality("x", kind, "x"), _EXAMPLES[kind]()
    of = Schema((modality,), (Target("y", TargetKind.CLASSIFICATION, ("a", "b")),))
    with TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder))

        def batch(number: int) -> None:
            keys = [f"{number} {place}" for place in range(size)]
            samples: list[Sample] = [{"x": Reference(key, lambda: example)} for key in keys]
            prepare(samples, of, chosen, cache)

        batch(0)
        start, done, spent = time.perf_counter(), 0, 0.0
        while spent < SECONDS:
            done += 1
            batch(done)
            spent = time.perf_counter() - start
    return 1000 * spent / (done * size)


def _photograph() -> bytes:
    coarse = np.random.default_rng(0).integers(0, 255, (15, 20, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(stream, "jpeg")
    return stream.getvalue()


def _sound(rate: int = 16000, seconds: int = 3) -> bytes:
    samples = np.random.default_rng(0).normal(0, 3000, rate * seconds).astype("<i2")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return stream.getvalue()


def _clip(frames: int = 30, rate: int = 15) -> bytes:
    import av

    rng, stream = np.random.default_rng(0), io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=rate)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        for _ in range(frames):
            pixels = rng.integers(0, 255, (240, 320, 3), dtype=np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
    return stream.getvalue()


_EXAMPLES: dict[ModalityKind, Callable[[], bytes]] = {
    ModalityKind.IMAGE: _photograph,
    ModalityKind.TEXT: lambda: b"a red bicycle with two bells in front of the old town hall",
    ModalityKind.AUDIO: _sound,
    ModalityKind.VIDEO: _clip,
    ModalityKind.SEQUENCE: lambda: json.dumps([[0.25] * 64] * 50).encode(),
}
