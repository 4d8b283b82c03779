"""`hf:<id or folder>`: any transformers AutoModel for text, images, sound or video.

A folder is read as it is. A name is looked up in the local hub cache and downloaded where that is
allowed (`HF_HUB_OFFLINE=1` forbids it). Weights are read as safetensors only.
"""

from __future__ import annotations

import hashlib
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from model.arrays import Array
from model.decoding.images import decode_image, fill_square
from model.decoding.video import decode_frames
from model.encoders.backbone import (
    Backbone,
    EncoderUnavailable,
    normalise,
    random_crop,
    random_flip,
)
from model.encoders.base import Encoder, Module, Raw, as_bytes, as_video
from model.encoders.hashing import plain_text
from model.encoders.torchvision_nets import sound_print, stored_sound
from model.options import Preparation
from model.schema import Modality

_tokenizing = threading.Lock()


class Text(Module):
    """Tokens (B, 2, L), ids and mask, to one vector per text."""

    def __init__(self, source: str, pooling: str) -> None:
        super().__init__()
        self.net = _model(source)
        self.pooling = pooling
        self.width = self.net.config.hidden_size

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width); padding beyond the longest text is not computed."""
        longest = max(1, int(x[:, 1].sum(dim=1).max()))
        ids, mask = x[:, 0, :longest].long(), x[:, 1, :longest].long()
        hidden = self.net(input_ids=ids, attention_mask=mask).last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0]
        weight = mask[..., None].to(hidden.dtype)
        return (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


class Pictures(Module):
    """Pictures (B, 3, R, R), or clips (B, T, 3, R, R), as bytes."""

    def __init__(self, source: str, preparation: Preparation) -> None:
        super().__init__()
        self.net = _model(source)
        self.width = _hidden_size(self.net.config)
        self.crop, self.mean, self.deviation = _picture_format(source)
        self.augment, self.flip = preparation.augment, preparation.flip

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width)."""
        random = self.training and self.augment
        x = random_crop(x, self.crop, self.crop, random)
        if random and self.flip:
            x = random_flip(x)
        return pooled(self.net(pixel_values=normalise(x, self.mean, self.deviation)))


class Sounds(Module):
    """Sounds (B, samples) as 16-bit integers, through the model's own feature extractor."""

    def __init__(self, source: str, preparation: Preparation) -> None:
        super().__init__()
        self.net = _model(source)
        self.width = _hidden_size(self.net.config)
        self.extractor = _processor(source)
        self.rate = preparation.audio_rate

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width); the silence that pads a sound on both sides is cut off again."""
        waves = [_unpadded(one.cpu().numpy()) for one in x]
        options = {"padding": True} if "input_values" in self.extractor.model_input_names else {}
        values = self.extractor(waves, sampling_rate=self.rate, return_tensors="pt", **options)
        return pooled(self.net(**{name: value.to(x.device) for name, value in values.items()}))


def pooled(output: Any) -> Tensor:
    """Return one vector per sample of a transformers output: the pooled one, else the mean."""
    if getattr(output, "pooler_output", None) is not None:
        return output.pooler_output.flatten(1)
    hidden = output.last_hidden_state
    return hidden.mean(dim=1) if hidden.ndim == 3 else hidden.flatten(2).mean(dim=2)


def text_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare texts as (2, L) token ids and mask."""
    length = preparation.text_length

    def decode(raw: Raw) -> Array:
        text = plain_text(raw)
        with _tokenizing:  # tokenizers keep state between padding and truncation
            tokens = _tokenizer(source)(
                text, truncation=True, max_length=length, padding="max_length"
            )
        return np.array([tokens["input_ids"], tokens["attention_mask"]], np.int32)

    return Backbone(
        f"tokens/2 of={_identity(source)} length={length}",
        f"pooling={preparation.pooling}",
        _identity(source),
        decode,
        lambda: Text(source, preparation.pooling),
        together=32,
    ).encoder(preparation)


def image_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare pictures as (3, R, R) bytes with R a little larger than what the model sees."""
    stored = _stored_side(source)

    def decode(raw: Raw) -> Array:
        return fill_square(decode_image(as_bytes(raw, "an image"), side=stored), stored)

    return Backbone(
        f"picture/2 resize={stored}",
        "pooled",
        _identity(source),
        decode,
        lambda: Pictures(source, preparation),
    ).encoder(preparation)


def video_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare clips as (T, 3, R, R) bytes with as many frames as the model was built for."""
    stored = _stored_side(source)
    count = int(getattr(_config(source), "num_frames", 0) or preparation.video_stored)

    def decode(raw: Raw) -> Array:
        frames = decode_frames(as_video(raw), count)
        return np.stack([fill_square(frame, stored) for frame in frames])

    return Backbone(
        f"frames/3 resize={stored} count={count}",
        "pooled",
        _identity(source),
        decode,
        lambda: Pictures(source, preparation),
        together=4,
    ).encoder(preparation)


def audio_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare sounds as 16-bit samples."""

    def decode(raw: Raw) -> Array:
        return stored_sound(raw, preparation)

    return Backbone(
        sound_print(preparation),
        "pooled",
        _identity(source),
        decode,
        lambda: Sounds(source, preparation),
        together=8,
    ).encoder(preparation)


def _unpadded(samples: Array) -> Array:
    loud = np.flatnonzero(samples)
    wave = samples[loud[0] : loud[-1] + 1] if len(loud) else samples
    shortest = 1600  # models with strided convolutions need some samples
    wave = wave if len(wave) >= shortest else np.pad(wave, (0, shortest - len(wave)))
    return wave.astype(np.float32) / 32767


def _stored_side(source: str) -> int:
    return round(_picture_format(source)[0] * 8 / 7)


@lru_cache(maxsize=8)
def _picture_format(source: str) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    """Return the side, mean and deviation that an image model expects."""
    processor = _processor(source)
    side = 0
    for size in (getattr(processor, name, None) or {} for name in ("crop_size", "size")):
        side = side or int(size.get("height") or size.get("shortest_edge") or 0)
    side = side or int(getattr(_config(source), "image_size", 224))
    return side, tuple(processor.image_mean), tuple(processor.image_std)


def _hidden_size(config: Any) -> int:
    if getattr(config, "hidden_sizes", None):
        return int(config.hidden_sizes[-1])
    return int(config.hidden_size)


@lru_cache(maxsize=8)
def _tokenizer(source: str) -> Any:
    from transformers import AutoTokenizer

    return _had(source, lambda: AutoTokenizer.from_pretrained(source))


@lru_cache(maxsize=8)
def _processor(source: str) -> Any:
    from transformers import AutoFeatureExtractor, AutoImageProcessor

    def load() -> Any:
        try:
            return AutoImageProcessor.from_pretrained(source)
        except (ValueError, OSError):
            return AutoFeatureExtractor.from_pretrained(source)

    return _had(source, load)


@lru_cache(maxsize=8)
def _config(source: str) -> Any:
    from transformers import AutoConfig

    return _had(source, lambda: AutoConfig.from_pretrained(source))


def _model(source: str) -> Any:
    """Return a fresh model; of a two-tower model, the tower that sees or hears."""
    from transformers import AutoModel

    net = _had(source, lambda: AutoModel.from_pretrained(source, use_safetensors=True))
    for tower in ("vision_model", "audio_model"):
        if hasattr(net, tower):
            return getattr(net, tower)
    return net


@lru_cache(maxsize=32)
def _identity(source: str) -> str:
    """Name the weights by their content: hashes of the safetensors files."""
    from transformers.utils import cached_file

    folder = Path(source)
    if not folder.is_dir():
        folder = Path(str(_had(source, lambda: cached_file(source, "config.json")))).parent
        if not any(folder.glob("*.safetensors")):
            _model(source)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise EncoderUnavailable(
            f"{source} has no .safetensors weights; save the model with safe serialisation"
        )
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{Path(source).name}:{digest.hexdigest()[:16]}"


def _had(source: str, load: Any) -> Any:
    try:
        return load()
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise EncoderUnavailable(
            f"the model {source!r} cannot be had ({reason}). Download it once where there is a "
            "network, or name a folder: `hf:/path/to/model`; encoders that need no download: "
            "hashing (text), small_cnn (image, video), logmel_cnn (audio), bilstm and mlp "
            "(sequence)"
        ) from error
