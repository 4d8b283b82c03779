"""Every hyper-parameter, in three values: how samples are prepared, what is built, how it learns.

A consumer takes the one that it needs: what decodes a picture cannot depend on a learning rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, Literal, TypeVar

from model.schema import Modality, ModalityKind

Value = TypeVar("Value")
ByModality = Mapping[str, Value]
"""A modality's own name or its kind -> value; the name wins."""

GRACE_LOSS_WEIGHTS: ByModality[float] = {
    ModalityKind.TEXT: 0.2,
    ModalityKind.AUDIO: 0.8,
    ModalityKind.VIDEO: 0.4,
    ModalityKind.IMAGE: 0.4,
    ModalityKind.SEQUENCE: 0.4,
    "multimodal": 1.0,
}


def by_modality(values: ByModality[Value] | Value, modality: Modality, default: Value) -> Value:
    """Return a modality's value by its name, else by its kind, else the default."""
    if not isinstance(values, Mapping):
        return values
    return values.get(modality.name, values.get(modality.kind, default))


def plain(value: Any) -> dict[str, Any]:
    """Return the options that a value holds as JSON takes them."""
    named = {f.name: getattr(value, f.name) for f in fields(value)}
    return {name: dict(v) if isinstance(v, Mapping) else v for name, v in named.items()}


def from_plain(value: Any) -> Any:
    """Return an option as it was before JSON: lists were tuples."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return {key: from_plain(item) for key, item in value.items()}
    return value


@dataclass(frozen=True)
class Preparation:
    """Which encoders there are, what they see, and how they are fed.

    Attributes:
        encoders: encoder name by modality.
        mode: `frozen` caches what pretrained backbones give and trains the rest; `finetune` trains
            backbones, too. Encoders without pretrained weights are trained in both.
        augment: random shifts, crops, masks and flips while training.
        flip: whether augmentation mirrors pictures (wrong for digits and text).
        image_size: side of pictures and frames for `small_cnn`.
        crop, resize: side that torchvision's image networks see, and side stored before cropping.
        widest: how many times as long as the shorter side the longer one of a stored picture may be
            where torchvision's image networks are trained; 1 stores the middle square.
        video_crop, video_resize: the same for video, resize as (height, width).
        video_frames, video_stored: frames used per clip, and stored per clip.
        audio_rate: samples per second.
        audio_frames: width of a log-mel picture.
        audio_seconds, audio_crop: seconds of sound stored and used by `resnet18_1ch` and `hf:`.
        audio_part: which of a longer sound's seconds are stored: its `middle`, or its `first`; a
            shorter one then lies in the middle, or at the beginning, of silence.
        audio_mean, audio_deviation: of the log spectrogram.
        text_length: tokens kept by `hf:` text encoders.
        pooling: `mean` or `cls`, how `hf:` text tokens become one vector.
        cached_norm: whether what frozen backbones give is normalised per sample.
        sequence_length: steps kept of a feature sequence by `bilstm`.
        sequence_hidden: width of one direction of `bilstm`, by modality.

    Raises:
        ValueError: an option has a value that means nothing.
    """

    encoders: ByModality[str]
    mode: Literal["frozen", "finetune"] = "frozen"
    augment: bool = True
    flip: bool = True
    image_size: int = 32
    crop: int = 224
    resize: int = 256
    widest: float = 1.0
    video_crop: int = 112
    video_resize: tuple[int, int] = (128, 171)
    video_frames: int = 5
    video_stored: int = 10
    audio_rate: int = 16000
    audio_frames: int = 48
    audio_seconds: float = 10.0
    audio_crop: float = 5.0
    audio_part: Literal["middle", "first"] = "middle"
    audio_mean: float = -3.0352
    audio_deviation: float = 3.0475
    text_length: int = 100
    pooling: Literal["mean", "cls"] = "mean"
    cached_norm: bool = True
    sequence_length: int = 50
    sequence_hidden: int | ByModality[int] = 32

    def __post_init__(self) -> None:
        if not (isinstance(self.widest, int | float) and 1 <= self.widest < inf):
            raise ValueError(f"widest is {self.widest!r}; 1 is the middle square, 2 twice as wide")

    def encoder(self, modality: Modality) -> str:
        """Return the encoder's name: the modality's own, else its kind's.

        A modality that is called like a kind ("audio" of kind sequence) has no name of its own
        here, as projects like to name their inputs so.

        Raises:
            ValueError: none is named.
        """
        own = modality.name not in set(ModalityKind)
        name = self.encoders.get(modality.name) if own else None
        name = name or self.encoders.get(modality.kind)
        if not name:
            raise ValueError(
                f"no encoder is named for {modality.kind} ({modality.name!r}); "
                "pass encoders={...} with one"
            )
        return name

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return plain(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Preparation:
        """Read what `to_json` wrote."""
        return cls(**{name: from_plain(option) for name, option in value.items()})


@dataclass(frozen=True)
class Architecture:
    """What is built on the encoders.

    Attributes:
        fusion: how features are joined: `concat`, `sum`, `nl_gate` or `mlp`.
        projection: width D of the last layer by modality; None leaves the last layer out, so that
            features are what the encoder gives (BMMAL's models; GRACE then has nothing to read).
        adapter: width of a linear layer without activation right behind the encoder.
        post: widths of hidden layers between encoder and last layer.
        post_dropout: before those layers.
        dropout: on the features, before the heads.
        fusion_hidden: hidden widths of `mlp`; the first is the inner width of `nl_gate`.
        fusion_relu: whether `mlp` has ReLU between its layers (the GRACE task model has none).
        fusion_dropout: inside `mlp`, before its first layer.
        bounded: whether a multimodal regression value is squeezed into its range by a sigmoid.
    """

    fusion: Literal["concat", "sum", "nl_gate", "mlp"] = "concat"
    projection: int | ByModality[int] | None = 128
    adapter: ByModality[int] = field(default_factory=dict)
    post: ByModality[tuple[int, ...]] = field(default_factory=dict)
    post_dropout: float = 0.0
    dropout: float = 0.3
    fusion_hidden: tuple[int, ...] = (128,)
    fusion_relu: bool = True
    fusion_dropout: float = 0.0
    bounded: bool = False


@dataclass(frozen=True)
class Training:
    """How it learns.

    Attributes:
        epochs: passes over the labels; more where `min_steps` asks for it.
        min_steps: at least this many updates, so that few labels are trained on long enough.
        batch_size: labels per update.
        optimizer, betas, lr, weight_decay: of the optimizer.
        encoder_lr, encoder_weight_decay: by modality, where an encoder has its own.
        decay_all: whether the decay of encoders reaches their biases and norms, too.
        schedule: `cosine` to zero, `milestones` (x 0.1 at each) or `constant`.
        milestones: epochs at which the rate drops.
        warmup: epochs of linear warm-up.
        loss_weights: by modality and "multimodal", where modalities have labels of their own
            (GRACE); with one shared label the losses are averaged (BMMAL Eq. 1).
        soft_labels: learn the shares of a task's annotators where they disagree, instead of what
            most of them said.
        class_weights: weigh classes by the inverse of their frequency.
        mixup: by modality, a in Beta(a, a): each step is taken on the batch and, for each of these
            modalities, on the batch with that modality mixed between samples (AV-MC has 1 for
            audio and for video).
        amp: mixed precision on CUDA.
        validation_share: share of the labels held back to measure, 0 for none.
        validation_min: hold nothing back below this many labels.
        patience: epochs without a better validation loss before training stops and returns to the
            best epoch; 0 trains all epochs and keeps the last.

    Raises:
        ValueError: an option has a value that means nothing.
    """

    epochs: int = 12
    min_steps: int = 200
    batch_size: int = 32
    optimizer: Literal["adamw", "adam"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    lr: float = 4e-3
    weight_decay: float = 0.01
    encoder_lr: ByModality[float] = field(default_factory=dict)
    encoder_weight_decay: ByModality[float] = field(default_factory=dict)
    decay_all: bool = False
    schedule: Literal["cosine", "milestones", "constant"] = "cosine"
    milestones: tuple[int, ...] = ()
    warmup: float = 1.0
    loss_weights: ByModality[float] = field(default_factory=lambda: GRACE_LOSS_WEIGHTS)
    soft_labels: bool = False
    class_weights: bool = False
    mixup: ByModality[float] = field(default_factory=dict)
    amp: bool = False
    validation_share: float = 0.0
    validation_min: int = 200
    patience: int = 0

    def __post_init__(self) -> None:
        numbers = self.mixup.values() if isinstance(self.mixup, Mapping) else [self.mixup]
        if not isinstance(self.mixup, Mapping) or not all(
            isinstance(a, int | float) and 0 <= a < inf for a in numbers
        ):
            raise ValueError(
                f"mixup is {self.mixup!r}; name modalities and a in Beta(a, a), 0 for none: "
                '{"audio": 1, "video": 1}'
            )
