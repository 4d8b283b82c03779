"""`small_cnn`: a convolutional network trained from scratch on small pictures or frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from model.arrays import Array
from model.decoding.images import decode_image, fit_inside
from model.decoding.video import decode_frames
from model.encoders.base import Encoder, Module, Raw, as_bytes, as_video, random_shift
from model.options import Preparation
from model.schema import Modality


def convolutions(channels: tuple[int, ...]) -> nn.Sequential:
    """Stack convolutions with stride 2, each with batch norm and ReLU.

    Note: strides instead of pooling and channels-last memory, for speed on a CPU: most of the time
    went into full-size feature maps.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        size = 3 if layers else 5
        layers += [
            nn.Conv2d(before, after, size, stride=2, padding=size // 2, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    stack = nn.Sequential(*layers)
    stack.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return stack


class SmallCnn(Module):
    """Pictures (B, 3, S, S) or clips (B, T, 3, S, S), whose frames' outputs are averaged."""

    def __init__(self, augment: bool, channels: tuple[int, ...] = (3, 16, 32, 64)) -> None:
        super().__init__()
        self.augment = augment
        self.layers = convolutions(channels)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.width = 4 * channels[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width)."""
        x = x.float().div(127.5).sub(1.0)
        if x.ndim == 4:
            return self._picture(self._augmented(x))
        size, frames = x.shape[:2]
        # Frames are stacked as channels so that one draw moves the whole clip alike.
        moved = self._augmented(x.flatten(1, 2)).reshape(size * frames, *x.shape[2:])
        return self._picture(moved).reshape(size, frames, -1).mean(dim=1)

    def _augmented(self, x: Tensor) -> Tensor:
        if not (self.training and self.augment):
            return x
        return random_shift(x, pixels=x.shape[-1] / 12, turn=0.2, scale=0.12)

    def _picture(self, x: Tensor) -> Tensor:
        return self.pool(self.layers(x)).flatten(1)


def image_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare pictures as (3, S, S) bytes."""
    size = preparation.image_size

    def decode(raw: Raw) -> Array:
        return fit_inside(decode_image(as_bytes(raw, "an image"), side=size), size)

    return Encoder(f"pixels/2 size={size}", decode, lambda _: SmallCnn(preparation.augment))


def frames_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare clips as (T, 3, S, S) bytes."""
    size, count = preparation.image_size, preparation.video_frames

    def decode(raw: Raw) -> Array:
        frames = decode_frames(as_video(raw), count)
        return np.stack([fit_inside(frame, size) for frame in frames])

    fingerprint = f"frames/1 size={size} count={count}"
    return Encoder(fingerprint, decode, lambda _: SmallCnn(preparation.augment))
