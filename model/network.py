"""The network: encoders, their shared last layers, unimodal heads and the fused head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from model import fusion
from model.encoders import encoder_for
from model.encoders.base import Module
from model.inputs import Batch
from model.presets import Preset
from model.schema import Schema, Target


@dataclass(frozen=True)
class Encoded:
    """What the encoders give for B samples, one entry per modality.

    Attributes:
        inputs: (B, H_m) h, input of the last layer; zero rows where absent.
        activations: (B, D_m) pre-activations W h + b of the last layer.
        present: (B, M).
    """

    inputs: list[Tensor]
    activations: list[Tensor]
    present: Tensor

    def features(self) -> list[Tensor]:
        """Return z_m = ReLU(pre-activation), zero rows where absent: a list of (B, D_m)."""
        return features_of(self.activations, self.present)


def features_of(activations: Sequence[Tensor], present: Tensor) -> list[Tensor]:
    """Return z_m (B, D_m) of pre-activations (B, D_m)."""
    return [
        activation.relu() * present[:, column, None]
        for column, activation in enumerate(activations)
    ]


def outputs_of(target: Target) -> int:
    """Return the number of logits a target needs."""
    return max(1, len(target.classes))


class Network(nn.Module):
    """Multimodal network over a schema's modalities; lists are in `schema.names` order."""

    fused: fusion.Fusion

    def __init__(
        self, schema: Schema, preset: Preset, shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        super().__init__()
        self.dropout = preset.dropout
        built = [_build(schema, preset, name, shapes[name]) for name in schema.names]
        self.encoders = nn.ModuleList(built)
        width = preset.projection
        self.last = nn.ModuleList(nn.Linear(encoder.width, width) for encoder in built)
        self.heads = nn.ModuleList(
            fusion.classifier(width, outputs_of(schema.unimodal(name))) for name in schema.names
        )
        widths = [width] * len(built)
        self.fused = fusion.build(preset.fusion, widths, outputs_of(schema.multimodal))

    def encode(self, batch: Batch) -> Encoded:
        """Run encoders and last layers."""
        inputs, activations = [], []
        encoders = cast(Iterable[Module], self.encoders)
        for column, (encoder, last) in enumerate(zip(encoders, self.last, strict=True)):
            h = _where_present(encoder, batch.values[column], batch.present[:, column])
            inputs.append(h)
            activations.append(last(h))
        return Encoded(inputs, activations, batch.present)

    def drop(self, features: Sequence[Tensor], active: bool) -> list[Tensor]:
        """Apply the dropout before the heads."""
        return [nn.functional.dropout(z, self.dropout, active) for z in features]

    def unimodal_logits(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return each modality's own logits, a list of (B, K_m)."""
        return [head(z) for head, z in zip(self.heads, features, strict=True)]

    def forward(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        """Return unimodal logits, a list of (B, K_m), and multimodal logits (B, K)."""
        features = self.drop(self.encode(batch).features(), self.training)
        return self.unimodal_logits(features), self.fused(features)


def _build(schema: Schema, preset: Preset, name: str, shape: tuple[int, ...]) -> Module:
    modality = next(m for m in schema.modalities if m.name == name)
    if not shape:  # no sample has the modality: it stays a zero vector
        return _Missing()
    return encoder_for(modality, preset).build(shape)


class _Missing(Module):
    """Stands for a modality that no training sample has."""

    width = 1

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), 1, dtype=torch.float32)


def _where_present(encoder: Module, values: Tensor, present: Tensor) -> Tensor:
    """Encode the rows that have the modality; the others are zero vectors (B, H)."""
    if isinstance(encoder, _Missing) or not bool(present.any()):
        return torch.zeros(len(present), encoder.width, device=present.device)
    everywhere = bool(present.all())
    some = values if everywhere else values[present]
    if encoder.training and len(some) == 1:  # batch norm needs two
        h = encoder(torch.cat([some, some]))[:1]
    else:
        h = encoder(some)
    if everywhere:
        return h
    return torch.zeros(len(present), h.shape[1], dtype=h.dtype, device=h.device).index_put(
        (present.nonzero(as_tuple=True)[0],), h
    )
