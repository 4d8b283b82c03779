"""Backbones: networks with weights of their own, cached when frozen and trained when not."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model import device as devices
from model.arrays import Array
from model.encoders.base import Encoder, Module, Raw, Vector
from model.presets import Preset

_RESIDENT = 3
_loaded: OrderedDict[str, Module] = OrderedDict()
_lock = threading.Lock()


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

    def encoder(self, preset: Preset) -> Encoder:
        """Return an encoder that caches the backbone's output, or its input to train it all."""
        if preset.mode == "finetune" or not self.weights:
            return Encoder(
                self.preprocessing,
                self.decode,
                lambda _: self.load(),
                pretrained=bool(self.weights),
            )
        return Encoder(
            f"{self.preprocessing} {self.applied} weights={self.weights}",
            self.decode,
            lambda shape: Vector(shape[0]),
            embed=self._embed,
            batch_size=4 * self.together,
            pretrained=True,
        )

    def _embed(self, values: Array) -> Array:
        """Return (B, width) float16 outputs of the frozen backbone."""
        module, where = self._resident()
        parts = []
        with torch.inference_mode(), devices.mixed_precision(where, where.type == "cuda"):
            for start in range(0, len(values), self.together):
                batch = torch.from_numpy(values[start : start + self.together]).to(where)
                parts.append(module(batch).float().cpu())
        return torch.cat(parts).clamp(-65000, 65000).numpy().astype(np.float16)

    def _resident(self) -> tuple[Module, torch.device]:
        """Return the module on its device; the last few stay in memory."""
        key = f"{self.preprocessing} {self.applied} {self.weights}"
        where = devices.resolve()
        with _lock:
            if key not in _loaded:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(0)  # layers that a checkpoint lacks come out alike each time
                    _loaded[key] = self.load().to(where).eval()
                while len(_loaded) > _RESIDENT:
                    _loaded.popitem(last=False)
            _loaded.move_to_end(key)
            return _loaded[key], where


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
