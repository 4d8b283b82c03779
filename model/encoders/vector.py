"""`vector`: one prepared vector per value, made of several views, for every kind of modality.

Views with pretrained weights come from packages (`packaged`); where one is not installed, the
simple views are used alone. Whichever of them helps in a project, the learner finds out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays import Array
from model.decoding.audio import decode_audio
from model.decoding.images import decode_image, squeeze
from model.decoding.sequences import decode_sequence
from model.decoding.video import decode_frames
from model.encoders import descriptors
from model.encoders.base import Encoder, Raw, as_bytes, as_video
from model.encoders.hashing import plain_text
from model.encoders.lite0 import Pictures
from model.encoders.logmel import spectrogram, stretched, trim
from model.encoders.minilm import Sentences, tokenizer
from model.encoders.packaged import EFFICIENTNET, MINILM, Package, checked
from model.encoders.resident import in_pieces, resident
from model.encoders.scaling import Scaled
from model.encoders.sequences import MOST
from model.encoders.views import View
from model.options import Preparation
from model.schema import Modality

logger = logging.getLogger(__name__)

BUCKETS = 2048
SIDE = 160
FRAMES = 6
TEXTS, PICTURES, VIDEOS = 512, 256, 48
"""Values embedded together: at the end of each batch a thread waits for the other's last piece."""
_NGRAMS = View("ngrams", BUCKETS, "counts")
_MINILM = View("minilm", Sentences.width, pretrained=True)
_EFFICIENTNET = View("efficientnet", Pictures.width, pretrained=True)
_SHAPES = View("gradients", descriptors.GRADIENTS)
_COLOURS = View("colours", descriptors.COLOURS)


def text_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """See texts with MiniLM, and count their n-grams, which works in any language."""
    length, learned = preparation.text_length, _installed(MINILM, "texts")
    views = (_MINILM, _NGRAMS) if learned else (_NGRAMS,)

    def decode(raw: Raw) -> Array:
        text = plain_text(raw)
        counts = _vectorizer().transform([text]).toarray()[0]
        if not learned:
            return counts
        ids = np.full(length, -1, np.float32)
        tokens = tokenizer(length).encode(text).ids
        ids[: len(tokens)] = tokens
        return np.concatenate([ids, counts])

    def look(x: Tensor) -> Tensor:
        ids = x[:, :length].long()
        longest = int((ids >= 0).sum(dim=1).max())
        net = resident("minilm", Sentences)
        return torch.cat([net(ids[:, :longest]), x[:, length:]], dim=1)

    def embed(values: Array) -> Array:
        order = np.argsort((values[:, :length] >= 0).sum(axis=1), kind="stable")
        found = np.empty((len(values), sum(view.width for view in views)), np.float32)
        found[order] = in_pieces(look, values[order], 16)  # of like length, so that few are padded
        return found

    return _encoder(f"tokens={length}", views, decode, embed if learned else None, TEXTS)


def image_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """See pictures with EfficientNet-Lite0, and describe their shapes and colours."""
    learned = _installed(EFFICIENTNET, "pictures")

    def decode(raw: Raw) -> Array:
        least = SIDE // 2  # a large JPEG file is decoded to no less than SIDE on both sides
        return squeeze(decode_image(as_bytes(raw, "an image"), side=least), SIDE)

    def embed(values: Array) -> Array:
        return in_pieces(partial(_see, learned), values, 4)

    return _encoder(f"side={SIDE}", _picture_views(learned), decode, embed, PICTURES)


def video_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """See some frames as pictures are seen: the mean over time, and the deviation from it."""
    learned = _installed(EFFICIENTNET, "videos")

    def decode(raw: Raw) -> Array:
        frames = decode_frames(as_video(raw), FRAMES)
        return np.stack([squeeze(frame, SIDE) for frame in frames])

    def look(x: Tensor) -> Tensor:
        seen = _see(learned, x.flatten(0, 1)).unflatten(0, x.shape[:2])
        parts = seen.split([view.width for view in _picture_views(learned)], dim=2)
        pooled = [(part.mean(dim=1), part.std(dim=1, correction=0)) for part in parts]
        return torch.cat([part for pair in pooled for part in pair], dim=1)

    def embed(values: Array) -> Array:
        return in_pieces(look, values, 1)

    views = tuple(
        View(view.name, 2 * view.width, view.kind, view.pretrained)
        for view in _picture_views(learned)
    )
    return _encoder(f"side={SIDE} frames={FRAMES}", views, decode, embed, VIDEOS)


def audio_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Hear a sound's course, stretched to one length, its timbre, and its tones.

    Note: the first two are cepstra rather than bands, as standardised cepstra are nearly
    uncorrelated; the ImageNet network on log-mel pictures heard less (docs/model.md).
    """
    rate, frames = preparation.audio_rate, preparation.audio_frames

    def decode(raw: Raw) -> Array:
        wave = trim(decode_audio(as_bytes(raw, "a sound"), rate))
        mel = spectrogram(wave, rate)
        course = descriptors.course(stretched(mel, frames)[0])
        timbre = descriptors.timbre(mel, len(wave) / rate)
        return np.concatenate([course, timbre, descriptors.spectrum(wave, rate)])

    views = (
        View("course", descriptors.COURSE),
        View("timbre", descriptors.TIMBRE),
        View("spectrum", descriptors.SPECTRUM),
    )
    return _encoder(f"rate={rate} frames={frames}", views, decode, None, 64)


def sequence_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Describe feature sequences by statistics over time."""

    def decode(raw: Raw) -> Array:
        return descriptors.over_time(decode_sequence(raw).clip(-MOST, MOST))

    return _encoder("", (View("statistics", 0),), decode, None, 64)


def _encoder(
    preparation: str,
    views: tuple[View, ...],
    decode: Callable[[Raw], Array],
    embed: Callable[[Array], Array] | None,
    batch_size: int,
) -> Encoder:
    weights = {"minilm": MINILM, "efficientnet": EFFICIENTNET}
    parts = [
        f"{view.name}:{view.width}" + (f"={weights[view.name].identity}" if view.pretrained else "")
        for view in views
    ]
    return Encoder(
        f"vector/1 {preparation} {' '.join(parts)}",
        decode,
        lambda shape: Scaled(views, shape[0]),
        embed=embed,
        batch_size=batch_size,
        pretrained=any(view.pretrained for view in views),
        views=views,
    )


def _picture_views(learned: bool) -> tuple[View, ...]:
    return (_EFFICIENTNET, _SHAPES, _COLOURS) if learned else (_SHAPES, _COLOURS)


def _see(learned: bool, x: Tensor) -> Tensor:
    """Return what `_picture_views` promises of pictures (B, 3, S, S) as bytes."""
    small = descriptors.halved(x.float() / 255)
    parts = [resident("efficientnet", Pictures)(x)] if learned else []
    parts += [descriptors.oriented_gradients(descriptors.halved(small)), descriptors.colours(small)]
    return torch.cat(parts, dim=1)


@lru_cache(maxsize=8)
def _installed(package: Package, what: str) -> bool:
    """Tell whether a package's weights are here; say once what is seen less well without.

    Raises:
        EncoderUnavailable: they are not the ones we know. Found out now, not in a decoding thread,
            where every value would count as unreadable.
    """
    if package.place() is None:
        logger.warning("weights missing, %s are seen by simple views only: %s", what, package.hint)
        return False
    checked(package)
    return True


@lru_cache(maxsize=1)
def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        n_features=BUCKETS,
        analyzer="char_wb",
        ngram_range=(2, 5),
        norm=None,
        alternate_sign=False,
        dtype=np.float32,
    )
