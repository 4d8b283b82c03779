"""Encoder names per kind of modality.

A name is `<encoder>` or `<encoder>:<source>`; the source is a model id or folder for `hf`, `timm`
and `open_clip`, a file of weights or `scratch` for torchvision's networks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from model.encoders import (
    hashing,
    huggingface,
    libraries,
    logmel,
    sequences,
    small_cnn,
    torchvision_nets,
    vector,
)
from model.encoders.base import Encoder
from model.options import Preparation
from model.schema import Modality, ModalityKind

Build = Callable[[Modality, str, Preparation], Encoder]

ENCODERS: dict[ModalityKind, dict[str, Build]] = {
    ModalityKind.IMAGE: {
        "vector": vector.image_encoder,
        "small_cnn": small_cnn.image_encoder,
        "resnet18": partial(torchvision_nets.image_encoder, "resnet18"),
        "resnet50": partial(torchvision_nets.image_encoder, "resnet50"),
        "resnet101": partial(torchvision_nets.image_encoder, "resnet101"),
        "hf": huggingface.image_encoder,
        "timm": partial(libraries.image_encoder, libraries.TIMM),
        "open_clip": partial(libraries.image_encoder, libraries.CLIP),
    },
    ModalityKind.TEXT: {
        "vector": vector.text_encoder,
        "hashing": hashing.text_encoder,
        "hf": huggingface.text_encoder,
        "open_clip": libraries.text_encoder,
    },
    ModalityKind.AUDIO: {
        "vector": vector.audio_encoder,
        "logmel_cnn": logmel.audio_encoder,
        "resnet18_1ch": torchvision_nets.spectrogram_encoder,
        "hf": huggingface.audio_encoder,
    },
    ModalityKind.VIDEO: {
        "vector": vector.video_encoder,
        "small_cnn": small_cnn.frames_encoder,
        "r2plus1d_18": torchvision_nets.clip_encoder,
        "hf": huggingface.video_encoder,
    },
    ModalityKind.SEQUENCE: {
        "vector": vector.sequence_encoder,
        "mean": sequences.mean_encoder,
        "mlp": sequences.mlp_encoder,
        "bilstm": sequences.bilstm_encoder,
    },
}
BY_NAME = {"hf", "timm", "open_clip"}
"""Encoders that are nothing without a source."""
_WITHOUT_SOURCE = {"vector", "small_cnn", "hashing", "logmel_cnn", "mean", "mlp", "bilstm"}


def encoder_for(modality: Modality, preparation: Preparation) -> Encoder:
    """Build the encoder that a preset names for a modality.

    Raises:
        ValueError: no such encoder for this kind; the message names the choices.
        EncoderUnavailable: its weights cannot be had.
    """
    name, _, source = preparation.encoder(modality).partition(":")
    choices = ENCODERS[modality.kind]
    if name not in choices or (name in BY_NAME and not source):
        listed = ", ".join(f"{c}:<id or folder>" if c in BY_NAME else c for c in choices)
        raise ValueError(
            f"no {modality.kind} encoder {preparation.encoder(modality)!r} (modality "
            f"{modality.name!r}); choose one of {listed}"
        )
    if source and name in _WITHOUT_SOURCE:
        raise ValueError(f"the encoder {name!r} takes nothing after a colon, not {source!r}")
    return choices[name](modality, source, preparation)
