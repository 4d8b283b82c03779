"""Backbones: networks with weights of their own, cached when frozen and trained when not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model.arrays import Array
from model.encoders.base import Encoder, Module, Raw, Vector
from model.encoders.resident import in_pieces, resident
from model.options import Preparation


class EncoderUnavailable(ValueError):
    """An encoder's weights cannot be had; the message names choices that need no download."""


@dataclass(frozen=True)
class Backbone:
    """A network and how its input is prepared.

    Attributes:
        preprocessing: names everything that decides the decoded array.
        applied: names what the module does to a decoded array besides its weights (crop, pooling).
        weights: names the initial weights; "" if they are random, which means it is always trained.
        decode: raw value -> decoded array.
        load: returns a fresh module with the initial weights, (B, *decoded shape) -> (B, width).
        together: values embedded in one forward pass.
    """

    preprocessing: str
    applied: str
    weights: str
    decode: Callable[[Raw], Array]
    load: Callable[[], Module]
    together: int = 16

    def encoder(self, preparation: Preparation) -> Encoder:
        """Return an encoder that caches the backbone's output, or its input to train it all."""
        if preparation.mode == "finetune" or not self.weights:
            return Encoder(
                self.preprocessing,
                self.decode,
                lambda _: self.load(),
                pretrained=bool(self.weights),
            )
        fingerprint = f"{self.preprocessing} {self.applied} weights={self.weights} float32"

        def embed(values: Array) -> Array:
            return in_pieces(resident(fingerprint, self.load), values, self.together)

        return Encoder(
            fingerprint,
            self.decode,
            lambda shape: Vector(shape[0], preparation.cached_norm),
            embed=embed,
            batch_size=self.together * max(4, torch.get_num_threads()),
            pretrained=True,
        )


def random_crop(x: Tensor, height: int, width: int, random: bool) -> Tensor:
    """Cut a window out of each of (B, ..., H, W): anywhere, or the middle.

    A clip (B, T, C, H, W) is cut alike in all of its frames.
    """
    free = (x.shape[-2] - height, x.shape[-1] - width)
    if not random:
        top, left = free[0] // 2, free[1] // 2
        return x[..., top : top + height, left : left + width]
    tops = torch.randint(0, free[0] + 1, (len(x),)).tolist()
    lefts = torch.randint(0, free[1] + 1, (len(x),)).tolist()
    return torch.stack(
        [
            one[..., top : top + height, left : left + width]
            for one, top, left in zip(x, tops, lefts, strict=True)
        ]
    )


def random_flip(x: Tensor) -> Tensor:
    """Mirror half of (B, ..., H, W)."""
    mirrored = torch.rand(len(x), device=x.device) < 0.5
    return torch.where(mirrored.view(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)


def normalise(x: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """Turn bytes (..., 3, H, W) into numbers with the data's mean and deviation."""
    shift = torch.tensor(mean, device=x.device).view(-1, 1, 1)
    scale = torch.tensor(deviation, device=x.device).view(-1, 1, 1)
    return (x.float() / 255 - shift) / scale
