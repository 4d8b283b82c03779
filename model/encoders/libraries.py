"""`timm:NAME` and `open_clip:NAME`: these libraries' models, for those who may download.

A folder in place of a name is read as it is: what `timm.models.save_for_hf` or open_clip's own
`save_for_hf` wrote. Of open_clip a name is a model and its weights, `ViT-B-32/laion2b_s34b_b79k`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from model.arrays import Array
from model.decoding.images import decode_image, fill_square
from model.encoders.backbone import (
    Backbone,
    EncoderUnavailable,
    normalise,
    random_crop,
    random_flip,
)
from model.encoders.base import Encoder, Module, Raw, as_bytes
from model.encoders.hashing import plain_text
from model.options import Preparation
from model.schema import Modality

TIMM, CLIP = "timm", "open_clip"


@dataclass(frozen=True)
class Facts:
    """What a model says of itself: its picture's side and scale, its width, and its weights."""

    side: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    width: int
    weights: str


class Pictures(Module):
    """Pictures (B, 3, R, R) as bytes, with R a little larger than what the model sees."""

    def __init__(self, library: str, source: str, preparation: Preparation) -> None:
        super().__init__()
        self.net = _net(library, source)
        self.see = self.net if library == TIMM else self.net.encode_image
        self.facts = _facts(library, source)
        self.width = self.facts.width
        self.augment, self.flip = preparation.augment, preparation.flip

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width)."""
        random = self.training and self.augment
        x = random_crop(x, self.facts.side, self.facts.side, random)
        if random and self.flip:
            x = random_flip(x)
        return self.see(normalise(x, self.facts.mean, self.facts.deviation))


class Texts(Module):
    """Tokens (B, L) through the text half of a CLIP."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.net = _net(CLIP, source)
        self.width = _facts(CLIP, source).width

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width)."""
        return self.net.encode_text(x.long())


def image_encoder(
    library: str, modality: Modality, source: str, preparation: Preparation
) -> Encoder:
    """Prepare pictures for a model of timm (its pooled features) or for a CLIP."""
    facts = _facts(library, source)
    stored = round(facts.side * 8 / 7)

    def decode(raw: Raw) -> Array:
        return fill_square(decode_image(as_bytes(raw, "an image"), side=stored), stored)

    return Backbone(
        f"picture/2 resize={stored}",
        f"{library} crop={facts.side}",
        facts.weights,
        decode,
        lambda: Pictures(library, source, preparation),
        together=8,
    ).encoder(preparation)


def text_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare texts as the tokens of a CLIP."""

    def decode(raw: Raw) -> Array:
        return _tokenizer(source)([plain_text(raw)])[0].numpy().astype(np.int32)

    return Backbone(
        "clip-tokens/1",
        f"of={source}",
        _facts(CLIP, source).weights,
        decode,
        lambda: Texts(source),
        together=32,
    ).encoder(preparation)


@lru_cache(maxsize=8)
def _facts(library: str, source: str) -> Facts:
    """Load a model once to learn what it is; its weights are named by their content."""
    net = _net(library, source)
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(name.encode() + value.detach().contiguous().numpy().tobytes())
    weights = f"{Path(source).name}:{digest.hexdigest()[:16]}"
    if library == TIMM:
        told = net.pretrained_cfg
        scale = tuple(told["mean"]), tuple(told["std"])
        return Facts(int(told["input_size"][-1]), *scale, net.num_features, weights)
    visual = net.visual
    side = visual.image_size[0] if isinstance(visual.image_size, tuple) else visual.image_size
    width = int(visual.output_dim)
    return Facts(int(side), tuple(visual.image_mean), tuple(visual.image_std), width, weights)


def _net(library: str, source: str) -> Any:
    """Return a fresh model with its weights, from a folder, the local cache or the network."""
    name, tag = _named(library, source)
    try:
        if library == TIMM:
            import timm

            return timm.create_model(name, pretrained=True, num_classes=0).eval()
        open_clip = _open_clip()
        return open_clip.create_model(name, pretrained=tag, require_pretrained=True).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise EncoderUnavailable(
            f"the model `{library}:{source}` cannot be had ({str(error).strip()[:200]}). Download "
            f"it once where there is a network, or name a folder: `{library}:/path/to/model`; "
            "encoders that need no download: vector"
        ) from error


def _named(library: str, source: str) -> tuple[str, str | None]:
    """Split a source into the library's name for it and, of open_clip, the tag of its weights."""
    if Path(source).is_dir():
        return f"local-dir:{source}", None
    if library == TIMM:
        return source, None
    name, _, tag = source.partition("/")
    if not tag:
        raise EncoderUnavailable(
            f"`open_clip:{source}` names no weights; write `open_clip:{source}/WEIGHTS` with one "
            "of those that open_clip.list_pretrained() shows, or name a folder"
        )
    return name, tag


@lru_cache(maxsize=4)
def _tokenizer(source: str) -> Any:
    return _open_clip().get_tokenizer(_named(CLIP, source)[0])


def _open_clip() -> Any:
    if find_spec("open_clip") is None:
        raise EncoderUnavailable(
            "open_clip is not installed: uv pip install open-clip-torch (or uv sync --extra clip)"
        )
    import open_clip

    return open_clip
