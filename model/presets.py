"""Named sets of every hyper-parameter, from encoders to the learning-rate schedule.

Where each figure of the `paper-*` presets comes from is tabled in docs/model.md.
"""

from __future__ import annotations

from typing import Any

from model.options import GRACE_LOSS_WEIGHTS, Preparation
from model.preset import Preset
from model.schema import ModalityKind

__all__ = ["PRESETS", "Preset", "preset"]

_QUICK = Preset(
    "quick",
    Preparation(
        encoders={
            ModalityKind.IMAGE: "small_cnn",
            ModalityKind.TEXT: "hashing",
            ModalityKind.AUDIO: "logmel_cnn",
            ModalityKind.VIDEO: "small_cnn",
            ModalityKind.SEQUENCE: "mlp",
        }
    ),
)

_AUTO = _QUICK.changed("auto", encoders=dict.fromkeys(ModalityKind, "vector"))

_BALANCED = _QUICK.changed(
    "balanced",
    encoders={
        ModalityKind.IMAGE: "hf:facebook/dinov2-small",
        ModalityKind.TEXT: "hf:sentence-transformers/all-MiniLM-L6-v2",
        ModalityKind.AUDIO: "hf:facebook/wav2vec2-base",
        ModalityKind.VIDEO: "r2plus1d_18",
        ModalityKind.SEQUENCE: "bilstm",
    },
    projection=256,
    epochs=30,
    batch_size=128,
    lr=1e-3,
    text_length=128,
    validation_share=0.15,
    validation_min=300,
    patience=8,
)

# BMMAL: features are the backbones' own, loss is the mean of all (Eq. 1), the last epoch is kept.
_BMMAL = _QUICK.changed(
    mode="finetune",
    fusion="concat",
    projection=None,
    dropout=0.1,  # ours: without any, BALD has nothing to draw from
    min_steps=0,
    batch_size=32,
    lr=1e-3,
    schedule="milestones",
    warmup=0.0,
    decay_all=True,
    loss_weights={},
)

_FOOD101 = _BMMAL.changed(
    "paper-food101",
    encoders={
        ModalityKind.TEXT: "hf:bert-base-uncased",
        ModalityKind.IMAGE: "resnet101",
    },
    widest=2.0,
    pooling="cls",
    epochs=15,
    milestones=(10,),
    optimizer="adamw",
    weight_decay=0.01,
    encoder_lr={ModalityKind.TEXT: 1e-5, ModalityKind.IMAGE: 1e-4},
)

_KINETICS = _BMMAL.changed(
    "paper-kineticssound",
    encoders={
        ModalityKind.VIDEO: "r2plus1d_18:scratch",
        ModalityKind.AUDIO: "resnet18_1ch",
    },
    epochs=45,
    milestones=(20, 30, 40),
    warmup=10.0,
    optimizer="adam",
    betas=(0.95, 0.999),
    weight_decay=1e-4,
    encoder_lr={ModalityKind.VIDEO: 2e-3, ModalityKind.AUDIO: 1e-3},
    audio_part="first",
)

_VGGSOUND = _KINETICS.changed(
    "paper-vggsound",
    encoders={ModalityKind.VIDEO: "r2plus1d_18"},
    encoder_lr={ModalityKind.VIDEO: 1e-3, ModalityKind.AUDIO: 1e-3},
    audio_mean=-3.0093,
    audio_deviation=2.7911,
)

# GRACE: AV-MC of CH-SIMS v2 (`v1` hyper-parameters with the BiLSTM encoders that GRACE describes).
_SIMS = _QUICK.changed(
    "paper-sims",
    encoders={
        ModalityKind.TEXT: "hf:bert-base-chinese",
        ModalityKind.SEQUENCE: "bilstm",
    },
    pooling="cls",
    cached_norm=False,
    text_length=50,
    sequence_hidden=16,
    sequence_length=925,
    adapter={ModalityKind.TEXT: 64},
    post={
        ModalityKind.TEXT: (32,),
        "audio": (32,),
        "video": (64,),
        ModalityKind.SEQUENCE: (64,),
    },
    projection={ModalityKind.TEXT: 32, "audio": 32, "video": 64, ModalityKind.SEQUENCE: 64},
    post_dropout=0.3,
    dropout=0.0,
    fusion="mlp",
    fusion_hidden=(16, 16),
    fusion_relu=False,
    fusion_dropout=0.3,
    bounded=True,
    epochs=5,
    min_steps=0,
    batch_size=32,
    optimizer="adam",
    lr=5e-4,
    weight_decay=5e-4,
    encoder_lr={ModalityKind.TEXT: 5e-4, "audio": 5e-4, "video": 1e-3},
    encoder_weight_decay={"audio": 0.0, "video": 0.0, ModalityKind.TEXT: 1e-4},
    decay_all=True,
    schedule="constant",
    warmup=0.0,
    augment=False,
    loss_weights={**GRACE_LOSS_WEIGHTS, "text": 0.2, "audio": 0.8, "video": 0.4},
)

_CHERMA = _SIMS.changed(
    "paper-cherma",
    encoders={ModalityKind.TEXT: "hashing", ModalityKind.SEQUENCE: "bilstm"},
    sequence_length=80,
    adapter={},
    post={"text": (32,), "audio": (32,), "video": (64,), ModalityKind.SEQUENCE: (64,)},
    projection={"text": 32, "audio": 32, "video": 64, ModalityKind.SEQUENCE: 64},
    bounded=False,
)

PRESETS: dict[str, Preset] = {
    chosen.name: chosen
    for chosen in (_QUICK, _AUTO, _BALANCED, _FOOD101, _KINETICS, _VGGSOUND, _SIMS, _CHERMA)
}


def preset(name: str, **overrides: Any) -> Preset:
    """Return a named preset with some options replaced; encoders are added to the preset's own.

    Raises:
        ValueError: unknown preset or option; the message names the choices.
    """
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name].changed(**overrides)
