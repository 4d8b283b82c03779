"""`mlp`: feature sequences by their mean over time."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from model.arrays import Array
from model.decoding.sequences import decode_sequence
from model.encoders.base import Encoder, Module
from model.presets import Preset


class Mlp(Module):
    """Time means (B, D) through batch norm, dropout and one hidden layer."""

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.width = hidden
        self.layers = nn.Sequential(
            nn.BatchNorm1d(width), nn.Dropout(0.1), nn.Linear(width, hidden), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width)."""
        return self.layers(x)


def mlp_encoder(preset: Preset) -> Encoder:
    """Prepare sequences as (D,) means over time."""

    def decode(raw: bytes | str | list) -> Array:
        mean = decode_sequence(raw).mean(axis=0)
        return mean.clip(-65000, 65000).astype(np.float16)

    return Encoder("sequence-mean/1", decode, lambda shape: Mlp(shape[0]))
