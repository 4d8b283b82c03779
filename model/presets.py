"""Named sets of every hyper-parameter, from encoders to the learning-rate schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from model.schema import Modality, ModalityKind

Fusion = Literal["concat", "sum", "nl_gate", "mlp"]


@dataclass(frozen=True)
class Preset:
    """How a project's network is built and trained.

    Attributes:
        name: the preset this started from.
        encoders: modality kind (or a modality's own name) -> encoder name.
        fusion: how features are joined; see `model.fusion`.
        mode: `frozen` caches what pretrained backbones give and trains the rest; `finetune` trains
            backbones, too. Encoders without pretrained weights are trained in both.
        projection: width D of the last layer's output.
        dropout: on the features, before the heads.
        epochs: passes over the labels; more where `min_steps` asks for it.
        min_steps: at least this many updates, so that few labels are trained on long enough.
        batch_size: labels per update.
        optimizer: `adamw` or `adam`.
        lr: of everything that has no rate of its own.
        encoder_lr: modality kind or name -> rate of that encoder.
        weight_decay: of the optimizer.
        betas: of the optimizer.
        schedule: `cosine` to zero, or `milestones` (x 0.1 at each).
        milestones: epochs at which the rate drops.
        warmup: epochs of linear warm-up.
        loss_weights: modality kind or name, and "multimodal" -> weight where modalities have their
            own labels (GRACE); with one shared label the losses are averaged (BMMAL Eq. 1).
        augment: random shifts, masks and flips while training.
        image_size: side of an image or a frame for encoders trained from scratch.
        audio_rate: samples per second.
        audio_frames: width of a log-mel picture.
        video_frames: frames per clip.
        sequence_length: steps kept of a feature sequence.
        hidden: width of the fusion MLP.
    """

    name: str
    encoders: Mapping[ModalityKind | str, str]
    fusion: Fusion = "concat"
    mode: Literal["frozen", "finetune"] = "frozen"
    projection: int = 128
    dropout: float = 0.3
    epochs: int = 12
    min_steps: int = 240
    batch_size: int = 32
    optimizer: Literal["adamw", "adam"] = "adamw"
    lr: float = 3e-3
    encoder_lr: Mapping[ModalityKind | str, float] = field(default_factory=dict)
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["cosine", "milestones"] = "cosine"
    milestones: tuple[int, ...] = ()
    warmup: float = 1.0
    loss_weights: Mapping[ModalityKind | str, float] = field(
        default_factory=lambda: {
            ModalityKind.TEXT: 0.2,
            ModalityKind.AUDIO: 0.8,
            ModalityKind.VIDEO: 0.4,
            ModalityKind.IMAGE: 0.4,
            ModalityKind.SEQUENCE: 0.4,
            "multimodal": 1.0,
        }
    )
    augment: bool = True
    image_size: int = 32
    audio_rate: int = 16000
    audio_frames: int = 48
    video_frames: int = 5
    sequence_length: int = 50
    hidden: int = 128

    def encoder(self, modality: Modality) -> str:
        """Return the encoder's name: the modality's own, else its kind's."""
        name = self.encoders.get(modality.name) or self.encoders.get(modality.kind)
        if name is None:
            raise ValueError(
                f"preset {self.name!r} names no encoder for {modality.kind} ({modality.name!r}); "
                f"pass encoders={{...}} with one"
            )
        return name

    def rate(self, modality: Modality) -> float:
        """Return the learning rate of a modality's encoder."""
        return self.encoder_lr.get(modality.name, self.encoder_lr.get(modality.kind, self.lr))

    def loss_weight(self, modality: Modality) -> float:
        """Return the weight of a modality's own loss."""
        by_kind = self.loss_weights.get(modality.kind, 1.0)
        return self.loss_weights.get(modality.name, by_kind)

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
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in known
        }
        return cls(**plain)


_QUICK_ENCODERS: Mapping[ModalityKind | str, str] = {
    ModalityKind.IMAGE: "small_cnn",
    ModalityKind.TEXT: "hashing",
    ModalityKind.AUDIO: "logmel_cnn",
    ModalityKind.VIDEO: "small_cnn",
    ModalityKind.SEQUENCE: "mlp",
}

PRESETS: dict[str, Preset] = {
    "quick": Preset("quick", _QUICK_ENCODERS),
}


def preset(name: str, **overrides: Any) -> Preset:
    """Return a named preset with some values replaced.

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
