"""Feature sequences: `mean` over time, `mlp` on it, `bilstm` as in the GRACE task model."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from model.arrays import Array
from model.decoding.sequences import decode_sequence
from model.dropout import Dropout
from model.encoders.base import Encoder, Module, Raw, Vector
from model.options import Preparation, by_modality
from model.schema import Modality

MOST = 1e15
"""Larger values are cut: their squares, summed, must stay below float32's end."""


class Mlp(Module):
    """Time means (B, D) through batch norm, dropout and one hidden layer."""

    def __init__(self, features: int, hidden: int = 128) -> None:
        super().__init__()
        self.width = hidden
        self.layers = nn.Sequential(
            nn.BatchNorm1d(features), Dropout(0.1), nn.Linear(features, hidden), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width)."""
        return self.layers(x)


class BiLstm(Module):
    """Sequences (B, T, D + 1) through Linear, BiLSTM, LayerNorm and BiLSTM.

    The last column tells steps (1) from padding (0). The output joins the final states of both
    layers and directions: width 4 x hidden, as AV-MC's AVsubNet.
    """

    def __init__(self, features: int, hidden: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.width = 4 * hidden
        self.project = nn.Linear(features - 1, hidden)
        self.dropout = Dropout(dropout)
        self.first = nn.LSTM(hidden, hidden, batch_first=True, bidirectional=True)
        self.norm = nn.LayerNorm(2 * hidden)
        self.second = nn.LSTM(2 * hidden, hidden, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 4 hidden)."""
        lengths = x[..., -1].sum(dim=1).long().clamp(min=1).cpu()
        longest = int(lengths.max())
        steps = self.dropout(self.project(x[:, :longest, :-1]))
        pack = partial(
            nn.utils.rnn.pack_padded_sequence,
            lengths=lengths,
            batch_first=True,
            enforce_sorted=False,
        )
        out, (early, _) = self.first(pack(steps))
        padded, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
        _, (late, _) = self.second(pack(self.norm(padded)))
        return torch.cat([*early, *late], dim=1)


def mlp_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare sequences as (D,) means over time."""

    def decode(raw: Raw) -> Array:
        return (
            decode_sequence(raw).mean(axis=0, dtype=np.float64).clip(-MOST, MOST).astype(np.float32)
        )

    return Encoder("sequence-mean/2", decode, lambda shape: Mlp(shape[0]))


def mean_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare sequences as (D,) means over time, which are handed on as they are."""
    encoder = mlp_encoder(modality, source, preparation)
    return replace(encoder, build=lambda shape: Vector(shape[0], normalised=False))


def bilstm_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare sequences as (T, D + 1): the first T steps, zeros, and which steps are real."""
    length = preparation.sequence_length
    hidden = by_modality(preparation.sequence_hidden, modality, 32)

    def decode(raw: Raw) -> Array:
        steps = decode_sequence(raw)[:length].clip(-MOST, MOST)
        padded = np.zeros((length, steps.shape[1] + 1), np.float32)
        padded[: len(steps), :-1] = steps
        padded[: len(steps), -1] = 1
        return padded

    return Encoder(f"sequence/2 length={length}", decode, lambda shape: BiLstm(shape[1], hidden))
