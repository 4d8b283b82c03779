"""Encoder names per kind of modality."""

from __future__ import annotations

from collections.abc import Callable

from model.encoders import hashing, logmel, sequences, small_cnn
from model.encoders.base import Encoder
from model.presets import Preset
from model.schema import Modality, ModalityKind

ENCODERS: dict[ModalityKind, dict[str, Callable[[Preset], Encoder]]] = {
    ModalityKind.IMAGE: {"small_cnn": small_cnn.image_encoder},
    ModalityKind.TEXT: {"hashing": hashing.text_encoder},
    ModalityKind.AUDIO: {"logmel_cnn": logmel.audio_encoder},
    ModalityKind.VIDEO: {"small_cnn": small_cnn.frames_encoder},
    ModalityKind.SEQUENCE: {"mlp": sequences.mlp_encoder},
}


def encoder_for(modality: Modality, preset: Preset) -> Encoder:
    """Build the encoder that a preset names for a modality.

    Raises:
        ValueError: no such encoder for this kind; the message names the choices.
    """
    name = preset.encoder(modality)
    choices = ENCODERS[modality.kind]
    if name not in choices:
        raise ValueError(
            f"no {modality.kind} encoder {name!r} (modality {modality.name!r}); "
            f"choose one of {', '.join(choices)}"
        )
    return choices[name](preset)
