"""What a network is built of, from a schema: each modality's encoder and hidden layers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from model.dropout import Dropout
from model.encoders import encoder_for
from model.encoders.base import Module
from model.options import Architecture, Preparation, by_modality
from model.presence import Missing
from model.schema import Modality, ModalityKind, Schema

_NO_LAYERS: tuple[int, ...] = ()


def encoder_of(
    modality: Modality, preparation: Preparation, shapes: Mapping[str, tuple[int, ...]]
) -> Module:
    """Return a modality's encoder for values of its shape; `Missing` where no sample has it."""
    shape = shapes[modality.name]
    if not shape:
        return Missing()
    return encoder_for(modality, preparation).build(shape)


def hidden_layers(
    modality: Modality, encoder: Module, architecture: Architecture
) -> tuple[nn.Sequential, int]:
    """Return the hidden layers between encoder and last layer, and their output's width."""
    layers: list[nn.Module] = (
        [Dropout(architecture.post_dropout)] if architecture.post_dropout else []
    )
    width = encoder.width
    adapter: int = by_modality(architecture.adapter, modality, 0)
    if adapter:
        layers.insert(0, nn.Linear(width, adapter))
        width = adapter
    hidden: tuple[int, ...] = by_modality(architecture.post, modality, _NO_LAYERS)
    for after in hidden:
        layers += [nn.Linear(width, after), nn.ReLU()]
        width = after
    return nn.Sequential(*layers), width


def main_modality(schema: Schema) -> int:
    """Return the modality that attends to the others in a gate: the first video, else the first."""
    kinds = [modality.kind for modality in schema.modalities]
    return kinds.index(ModalityKind.VIDEO) if ModalityKind.VIDEO in kinds else 0


def check_same_labels(schema: Schema) -> None:
    """Refuse a fusion by sums where modalities have labels of their own.

    Raises:
        ValueError: a modality's labels are not the multimodal ones.
    """
    multimodal = schema.multimodal
    for name in schema.names:
        own = schema.unimodal(name)
        if (own.kind, own.classes) != (multimodal.kind, multimodal.classes):
            raise ValueError(
                f"fusion sum adds the modalities' own predictions, but {own.name!r} has other "
                f"labels than {multimodal.name!r}; choose fusion concat or mlp"
            )
