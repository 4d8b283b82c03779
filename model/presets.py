"""Named sets of every hyper-parameter, from encoders to the learning-rate schedule.

Where each figure of the `paper-*` presets comes from is tabled in docs/model.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

from model.schema import Modality, ModalityKind

Value = TypeVar("Value")
ByModality = Mapping[str, Value]
"""A modality's own name or its kind -> value; the name wins."""

_GRACE_LOSS_WEIGHTS: ByModality[float] = {
    ModalityKind.TEXT: 0.2,
    ModalityKind.AUDIO: 0.8,
    ModalityKind.VIDEO: 0.4,
    ModalityKind.IMAGE: 0.4,
    ModalityKind.SEQUENCE: 0.4,
    "multimodal": 1.0,
}


@dataclass(frozen=True)
class Preset:
    """How a project's network is built and trained.

    Encoders and network:
        name: the preset this started from.
        encoders: encoder name by modality.
        mode: `frozen` caches what pretrained backbones give and trains the rest; `finetune` trains
            backbones, too. Encoders without pretrained weights are trained in both.
        fusion: how features are joined: `concat`, `sum`, `nl_gate` or `mlp`.
        projection: width D of the last layer by modality; None leaves the last layer out, so that
            features are what the encoder gives (BMMAL's models; GRACE then has nothing to read).
        post: widths of hidden layers between encoder and last layer.
        post_dropout: before those layers.
        dropout: on the features, before the heads.
        fusion_hidden: hidden widths of `mlp`; the first is the inner width of `nl_gate`.
        fusion_relu: whether `mlp` has ReLU between its layers (the GRACE task model has none).
        fusion_dropout: inside `mlp`, before its first layer.
        bounded: whether a multimodal regression value is squeezed into its range by a sigmoid.

    Training:
        epochs: passes over the labels; more where `min_steps` asks for it.
        min_steps: at least this many updates, so that few labels are trained on long enough.
        batch_size: labels per update.
        optimizer, betas, lr, weight_decay: of the optimizer.
        encoder_lr, encoder_weight_decay: by modality, where an encoder has its own.
        schedule: `cosine` to zero, `milestones` (x 0.1 at each) or `constant`.
        milestones: epochs at which the rate drops.
        warmup: epochs of linear warm-up.
        loss_weights: by modality and "multimodal", where modalities have labels of their own
            (GRACE); with one shared label the losses are averaged (BMMAL Eq. 1).
        soft_labels: learn the shares of a task's annotators where they disagree, instead of what
            most of them said.
        class_weights: weigh classes by the inverse of their frequency.
        augment: random shifts, crops, masks and flips while training.
        amp: mixed precision on CUDA.
        validation_share: share of the labels held back to measure, 0 for none.
        validation_min: hold nothing back below this many labels.
        patience: epochs without a better validation loss before training stops and returns to the
            best epoch; 0 trains all epochs and keeps the last.

    Preparation:
        image_size: side of pictures and frames for `small_cnn`.
        crop, resize: side that torchvision's image networks see, and side stored before cropping.
        flip: whether augmentation mirrors pictures (wrong for digits and text).
        video_crop, video_resize: the same for video, resize as (height, width).
        video_frames, video_stored: frames used per clip, and stored per clip.
        audio_rate: samples per second.
        audio_frames: width of a log-mel picture.
        audio_seconds, audio_crop: seconds of sound stored and used by `resnet18_1ch` and `hf:`.
        audio_mean, audio_deviation: of the log spectrogram.
        text_length: tokens kept by `hf:` text encoders.
        pooling: `mean` or `cls`, how `hf:` text tokens become one vector.
        sequence_length: steps kept of a feature sequence by `bilstm`.
        sequence_hidden: width of one direction of `bilstm`, by modality.
    """

    name: str
    encoders: ByModality[str]
    mode: Literal["frozen", "finetune"] = "frozen"
    fusion: Literal["concat", "sum", "nl_gate", "mlp"] = "concat"
    projection: int | ByModality[int] | None = 128
    post: ByModality[tuple[int, ...]] = field(default_factory=dict)
    post_dropout: float = 0.0
    dropout: float = 0.3
    fusion_hidden: tuple[int, ...] = (128,)
    fusion_relu: bool = True
    fusion_dropout: float = 0.0
    bounded: bool = False

    epochs: int = 12
    min_steps: int = 200
    batch_size: int = 32
    optimizer: Literal["adamw", "adam"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    lr: float = 4e-3
    weight_decay: float = 0.01
    encoder_lr: ByModality[float] = field(default_factory=dict)
    encoder_weight_decay: ByModality[float] = field(default_factory=dict)
    schedule: Literal["cosine", "milestones", "constant"] = "cosine"
    milestones: tuple[int, ...] = ()
    warmup: float = 1.0
    loss_weights: ByModality[float] = field(default_factory=lambda: _GRACE_LOSS_WEIGHTS)
    soft_labels: bool = False
    class_weights: bool = False
    augment: bool = True
    amp: bool = False
    validation_share: float = 0.0
    validation_min: int = 200
    patience: int = 0

    image_size: int = 32
    crop: int = 224
    resize: int = 256
    flip: bool = True
    video_crop: int = 112
    video_resize: tuple[int, int] = (128, 171)
    video_frames: int = 5
    video_stored: int = 10
    audio_rate: int = 16000
    audio_frames: int = 48
    audio_seconds: float = 10.0
    audio_crop: float = 5.0
    audio_mean: float = -3.0352
    audio_deviation: float = 3.0475
    text_length: int = 100
    pooling: Literal["mean", "cls"] = "mean"
    sequence_length: int = 50
    sequence_hidden: int | ByModality[int] = 32

    def encoder(self, modality: Modality) -> str:
        """Return the encoder's name: the modality's own, else its kind's.

        A modality that is called like a kind ("audio" of kind sequence) has no name of its own
        here, as projects like to name their inputs so.

        Raises:
            ValueError: the preset names none.
        """
        own = modality.name not in set(ModalityKind)
        name = self.encoders.get(modality.name) if own else None
        name = name or self.encoders.get(modality.kind)
        if not name:
            raise ValueError(
                f"preset {self.name!r} names no encoder for {modality.kind} ({modality.name!r}); "
                "pass encoders={...} with one"
            )
        return name

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return {
            f.name: dict(value) if isinstance(value := getattr(self, f.name), Mapping) else value
            for f in fields(self)
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Preset:
        """Read what `to_json` wrote."""
        known = {f.name for f in fields(cls)}
        plain: dict[str, Any] = {k: _untouched(v) for k, v in value.items() if k in known}
        return cls(**plain)


def by_modality(values: ByModality[Value] | Value, modality: Modality, default: Value) -> Value:
    """Return a modality's value by its name, else by its kind, else the default."""
    if not isinstance(values, Mapping):
        return values
    return values.get(modality.name, values.get(modality.kind, default))


def _untouched(value: Any) -> Any:
    """Turn JSON's lists back into tuples."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return {key: _untouched(item) for key, item in value.items()}
    return value


_QUICK = Preset(
    "quick",
    encoders={
        ModalityKind.IMAGE: "small_cnn",
        ModalityKind.TEXT: "hashing",
        ModalityKind.AUDIO: "logmel_cnn",
        ModalityKind.VIDEO: "small_cnn",
        ModalityKind.SEQUENCE: "mlp",
    },
)

_AUTO = replace(_QUICK, name="auto", encoders=dict.fromkeys(ModalityKind, "vector"))

_BALANCED = replace(
    _QUICK,
    name="balanced",
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
_BMMAL = replace(
    _QUICK,
    mode="finetune",
    fusion="concat",
    projection=None,
    dropout=0.1,  # ours: without any, BALD has nothing to draw from
    min_steps=0,
    batch_size=32,
    lr=1e-3,
    schedule="milestones",
    warmup=0.0,
    loss_weights={},
)

_FOOD101 = replace(
    _BMMAL,
    name="paper-food101",
    encoders={
        **_QUICK.encoders,
        ModalityKind.TEXT: "hf:bert-base-uncased",
        ModalityKind.IMAGE: "resnet101",
    },
    pooling="cls",
    epochs=15,
    milestones=(10,),
    optimizer="adamw",
    weight_decay=0.01,
    encoder_lr={ModalityKind.TEXT: 1e-5, ModalityKind.IMAGE: 1e-4},
)

_KINETICS = replace(
    _BMMAL,
    name="paper-kineticssound",
    encoders={
        **_QUICK.encoders,
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
)

_VGGSOUND = replace(
    _KINETICS,
    name="paper-vggsound",
    encoders={**_KINETICS.encoders, ModalityKind.VIDEO: "r2plus1d_18"},
    encoder_lr={ModalityKind.VIDEO: 1e-3, ModalityKind.AUDIO: 1e-3},
    audio_mean=-3.0093,
    audio_deviation=2.7911,
)

# GRACE: AV-MC of CH-SIMS v2 (`v1` hyper-parameters with the BiLSTM encoders that GRACE describes).
_SIMS = replace(
    _QUICK,
    name="paper-sims",
    encoders={
        **_QUICK.encoders,
        ModalityKind.TEXT: "hf:bert-base-chinese",
        ModalityKind.SEQUENCE: "bilstm",
    },
    pooling="cls",
    text_length=50,
    sequence_hidden=16,
    sequence_length=925,
    post={
        ModalityKind.TEXT: (64, 32),
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
    schedule="constant",
    warmup=0.0,
    augment=False,
    loss_weights={**_GRACE_LOSS_WEIGHTS, "text": 0.2, "audio": 0.8, "video": 0.4},
)

_CHERMA = replace(
    _SIMS,
    name="paper-cherma",
    encoders={**_QUICK.encoders, ModalityKind.SEQUENCE: "bilstm"},
    sequence_length=80,
    post={"text": (32,), "audio": (32,), "video": (64,), ModalityKind.SEQUENCE: (64,)},
    projection={"text": 32, "audio": 32, "video": 64, ModalityKind.SEQUENCE: 64},
    bounded=False,
)

PRESETS: dict[str, Preset] = {
    chosen.name: chosen
    for chosen in (_QUICK, _AUTO, _BALANCED, _FOOD101, _KINETICS, _VGGSOUND, _SIMS, _CHERMA)
}


def preset(name: str, **overrides: Any) -> Preset:
    """Return a named preset with some values replaced; encoders are added to the preset's own.

    Raises:
        ValueError: unknown preset or option; the message names the choices.
    """
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; choose one of {', '.join(PRESETS)}")
    known = {f.name for f in fields(Preset)} - {"name"}
    unknown = sorted(overrides.keys() - known)
    if unknown:
        raise ValueError(f"no preset option {unknown}; choose from {', '.join(sorted(known))}")
    base = PRESETS[name]
    if "encoders" in overrides:
        overrides["encoders"] = {**base.encoders, **overrides["encoders"]}
    return replace(base, **overrides)
