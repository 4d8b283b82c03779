"""Caches of random arrays, as encoders would fill them: three frozen vectors, or two media."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from model.cache import FeatureCache
from model.encoders import encoder_for
from model.encoders.logmel import BANDS
from model.inputs import Inputs
from model.preparation import prepare
from model.presets import Preset, preset
from model.sample import Reference, content_key
from model.schema import Modality, ModalityKind, Schema, Target, TargetKind

NAMES = ("text", "audio", "video")
_ROWS = 20_000


def schema(classes: int) -> Schema:
    """Three modalities and one choice."""
    modalities = tuple(Modality(name, ModalityKind.SEQUENCE, name) for name in NAMES)
    target = Target("y", TargetKind.CLASSIFICATION, tuple(map(str, range(classes))))
    return Schema(modalities, (target,))


def vectors_preset(**options: Any) -> Preset:
    """The preset for frozen encoders; vectors take the path of a sequence's mean."""
    plain = {"encoders": {ModalityKind.SEQUENCE: "mlp"}, "validation_share": 0.0}
    return preset("balanced", **{**plain, **options})


def cached_vectors(folder: Path, size: int, width: int) -> Inputs:
    """Fill a cache with (N, D) float16 vectors per modality and locate them."""
    rng = np.random.default_rng(0)

    def draw(name: str, count: int) -> np.ndarray:
        return rng.standard_normal((count, width), dtype=np.float32).astype(np.float16)

    return _filled(folder, size, schema(2), vectors_preset(), draw)


def media_schema(classes: int) -> Schema:
    """A picture, a sound and one choice."""
    modalities = (
        Modality("picture", ModalityKind.IMAGE, "picture"),
        Modality("sound", ModalityKind.AUDIO, "sound"),
    )
    return Schema(modalities, schema(classes).targets)


def cached_media(folder: Path, size: int) -> Inputs:
    """Fill a cache with the arrays that `quick` prepares of pictures and sounds."""
    rng, chosen = np.random.default_rng(0), preset("quick")

    def draw(name: str, count: int) -> np.ndarray:
        if name == "picture":
            return rng.integers(0, 255, (count, 3, chosen.image_size, chosen.image_size), np.uint8)
        shape = (count, 1, BANDS, chosen.audio_frames)
        return rng.standard_normal(shape, dtype=np.float32).astype(np.float16)

    return _filled(folder, size, media_schema(2), chosen, draw)


def _filled(
    folder: Path,
    size: int,
    of: Schema,
    chosen: Preset,
    draw: Callable[[str, int], np.ndarray],
) -> Inputs:
    cache = FeatureCache(folder)
    samples = [{n: Reference(f"{n}{row}", _unread) for n in of.names} for row in range(size)]
    for modality in of.modalities:
        store = cache.store(encoder_for(modality, chosen.preparation).fingerprint)
        for start in range(0, size, _ROWS):
            rows = range(start, min(start + _ROWS, size))
            keys = [content_key(samples[row][modality.name]) or b"" for row in rows]
            store.append(keys, draw(modality.name, len(rows)))
    return prepare(samples, of, chosen.preparation, cache)


def _unread() -> bytes:
    raise OSError("the cache holds everything; nothing is loaded")
