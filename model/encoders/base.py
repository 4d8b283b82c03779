"""What an encoder is: a preparation whose result is cached, and a trainable module on top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.arrays import Array
from model.encoders.views import View
from model.sample import MediaError

Raw = bytes | str | list[Any]
"""A loaded value: a file's content, a text, or an inline list."""


class Module(nn.Module):
    """The trainable half: prepared arrays (B, *shape) to vectors (B, width).

    Attributes:
        width: of the vectors.
        channels: of the mid-level maps (B, channels, ...) that `middle` gives and `tail` continues
            from, where the network can be cut in two; else None.
    """

    width: int
    channels: int | None = None

    def middle(self, x: Tensor) -> Tensor:
        """Return mid-level maps (B, channels, ...)."""
        raise NotImplementedError

    def tail(self, maps: Tensor) -> Tensor:
        """Return (B, width) of mid-level maps."""
        raise NotImplementedError

    def new_tail(self) -> Tail:
        """Return another tail, built like this one's, with initial weights of its own."""
        raise NotImplementedError


class Tail(nn.Module):
    """What makes vectors (B, width) of mid-level maps.

    Attributes:
        width: of the vectors.
    """

    width: int


@dataclass(frozen=True)
class Encoder:
    """One modality's encoder.

    Attributes:
        fingerprint: names everything that decides the prepared array: preprocessing, and backbone
            and weights where a frozen backbone is part of it. It is the cache's key.
        decode: raw value (bytes, text or list) -> prepared array; runs in worker threads and raises
            MediaError.
        build: shape of a prepared array -> a fresh trainable module.
        embed: (B, *decoded shape) -> (B, *shape) by a frozen backbone, or None.
        batch_size: values embedded at once.
        pretrained: whether features mean something before any label is seen.
        views: the parts of a prepared vector, in order; () where it is one thing.
    """

    fingerprint: str
    decode: Callable[[Raw], Array]
    build: Callable[[tuple[int, ...]], Module]
    embed: Callable[[Array], Array] | None = None
    batch_size: int = 64
    pretrained: bool = False
    views: tuple[View, ...] = ()


class Vector(Module):
    """Cached vectors as they are, or normalised per sample: the last layer does the learning."""

    def __init__(self, width: int, normalised: bool = True) -> None:
        super().__init__()
        self.width = width
        self.norm = nn.LayerNorm(width) if normalised else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width)."""
        return self.norm(x)


def as_bytes(raw: Raw, what: str) -> bytes:
    """Return the raw value if it is a file's content."""
    if not isinstance(raw, bytes):
        raise MediaError(f"{what} is expected, not {type(raw).__name__}")
    return raw


def as_video(raw: Raw) -> bytes | list[bytes]:
    """Return the raw value if it is a video file's content, or the contents of its frames."""
    if isinstance(raw, list) and all(isinstance(frame, bytes) for frame in raw):
        return raw
    return as_bytes(raw, "a video")


def random_shift(
    x: Tensor, pixels: float | tuple[float, float], turn: float = 0.0, scale: float = 0.0
) -> Tensor:
    """Move, turn and scale each picture of (B, C, H, W) a little, by bilinear sampling.

    Args:
        x: pictures.
        pixels: largest shift, in pixels; (across, down) where they differ.
        turn: largest angle, in radians.
        scale: largest relative change of size.
    """
    size, (height, width) = len(x), x.shape[-2:]
    across, down = pixels if isinstance(pixels, tuple) else (pixels, pixels)
    draw = torch.rand(4, size, device=x.device) * 2 - 1
    angle, zoom = draw[2] * turn, 1 + draw[3] * scale
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    rows = [
        torch.stack([cos, -sin, draw[0] * 2 * across / width], 1),
        torch.stack([sin, cos, draw[1] * 2 * down / height], 1),
    ]
    grid = nn.functional.affine_grid(torch.stack(rows, 1), [*x.shape], align_corners=False)
    return nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def random_mask(x: Tensor, height: int, width: int) -> Tensor:
    """Set one random band of rows and one of columns of (B, 1, H, W) to 0 (SpecAugment)."""
    size, rows, columns = len(x), x.shape[-2], x.shape[-1]
    for count, total, axis in ((height, rows, -2), (width, columns, -1)):
        length = torch.randint(0, count + 1, (size, 1), device=x.device)
        start = (torch.rand(size, 1, device=x.device) * (total - length)).long()
        place = torch.arange(total, device=x.device)[None]
        band = (place >= start) & (place < start + length)
        x = x.masked_fill(band[:, None, :, None] if axis == -2 else band[:, None, None, :], 0.0)
    return x
