"""The network: encoders, their shared last layers, unimodal heads and the fused head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from model import fusion
from model.dropout import Dropout, dropout
from model.encoders import encoder_for
from model.encoders.base import Module
from model.inputs import Batch
from model.presets import Preset, by_modality
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

_NO_LAYERS: tuple[int, ...] = ()


@dataclass(frozen=True)
class Encoded:
    """What the encoders give for B samples, one entry per modality; zero rows where absent.

    Attributes:
        outputs: (B, E_m) what the encoders themselves gave.
        inputs: (B, H_m) h, input of the last layer.
        activations: (B, D_m) pre-activations W h + b of the last layer; h itself without one.
        maps: (B, C_m, ...) mid-level maps where the fusion joins those, else None.
        present: (B, M).
    """

    outputs: list[Tensor]
    inputs: list[Tensor]
    activations: list[Tensor]
    maps: list[Tensor] | None
    present: Tensor


class Network(nn.Module):
    """Multimodal network over a schema's modalities; lists are in `schema.names` order.

    Attributes:
        rectified: whether a ReLU follows the last layers.
    """

    fused: fusion.Fusion
    rectified = True

    def __init__(
        self, schema: Schema, preset: Preset, shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        super().__init__()
        self.dropout = preset.dropout
        self.bounded = preset.bounded and schema.multimodal.kind is TargetKind.REGRESSION
        built = [_encoder(modality, preset, shapes) for modality in schema.modalities]
        self.encoders = nn.ModuleList(built)
        posts = [_post(m, e, preset) for m, e in zip(schema.modalities, built, strict=True)]
        self.posts = nn.ModuleList(post for post, _ in posts)
        before = [width for _, width in posts]
        self.last: nn.ModuleList | None = None
        widths = before
        if preset.projection is not None:
            widths = [by_modality(preset.projection, m, 128) for m in schema.modalities]
            self.last = nn.ModuleList(map(nn.Linear, before, widths))
        self.widths = widths
        self.heads = nn.ModuleList(
            fusion.classifier(width, outputs_of(schema.unimodal(name)))
            for name, width in zip(schema.names, widths, strict=True)
        )
        self.by_maps = preset.fusion == "nl_gate" and all(e.channels for e in built)
        self.fused = _fusion(schema, preset, built, widths, self.heads, self.by_maps)

    @property
    def published_widths(self) -> list[int]:
        """Widths of the z_m that strategies read."""
        if isinstance(self.fused, fusion.Stepwise):
            return [self.fused.width] * len(self.widths)
        return self.widths

    @property
    def stochastic(self) -> bool:
        """Whether dropout between encoders and multimodal logits makes passes differ."""
        parts = [*self.fused.modules(), *([] if self.by_maps else self.posts.modules())]
        return self.dropout > 0 or any(p.p > 0 for p in parts if isinstance(p, Dropout))

    def stochastic_passes(
        self, encoded: Encoded, passes: int
    ) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Yield unimodal logits, a list of (B, K_m), and multimodal ones (B, K), with dropout on.

        The encoders are not run again: dropout before and after the last layer and in the fusion.
        """
        for part in (self.posts, self.fused):
            part.train()
        try:
            for _ in range(passes):
                inputs = [post(h) for post, h in zip(self.posts, encoded.outputs, strict=True)]
                features = self.features(self._activations(inputs), encoded.present)
                features = list(self.drop(features, active=True))
                joined = self.drop(self.joined(encoded, features), active=encoded.maps is not None)
                yield self.unimodal_logits(features), self.multimodal_logits(joined)
        finally:
            for part in (self.posts, self.fused):
                part.eval()

    def _activations(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        if self.last is None:
            return list(inputs)
        return [last(h) for last, h in zip(self.last, inputs, strict=True)]

    def encode(self, batch: Batch) -> Encoded:
        """Run encoders, their hidden layers and last layers."""
        outputs, inputs, maps = [], [], []
        encoders = cast(Iterable[Module], self.encoders)
        for column, (encoder, post) in enumerate(zip(encoders, self.posts, strict=True)):
            here = batch.present[:, column]
            h, middle = _where_present(encoder, batch.values[column], here, self.by_maps)
            outputs.append(h)
            inputs.append(post(h))
            maps += [middle] if middle is not None else []
        return Encoded(outputs, inputs, self._activations(inputs), maps or None, batch.present)

    def features(self, activations: Sequence[Tensor], present: Tensor) -> list[Tensor]:
        """Return z_m (B, D_m) of pre-activations: ReLU, and zero rows where absent."""
        if self.last is not None:
            activations = [activation.relu() for activation in activations]
        return zero_absent(activations, present)

    def joined(self, encoded: Encoded, features: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return what the fusion reads: mid-level maps where it joins those, else features."""
        return encoded.maps if encoded.maps is not None else features

    def published_features(
        self, joined: Sequence[Tensor], features: Sequence[Tensor], present: Tensor
    ) -> Sequence[Tensor]:
        """Return the z_m that strategies read.

        Where the last layer reads another vector than [z_1; ...; z_M], they are what the fusion
        makes of each modality alone (BMMAL, NL-gate).
        """
        if not isinstance(self.fused, fusion.Stepwise):
            return features
        return zero_absent(self.fused.alone(joined), present)

    def drop(self, joined: Sequence[Tensor], active: bool) -> Sequence[Tensor]:
        """Apply the dropout before the heads; maps are dropped inside the gate."""
        if not active or not self.dropout:
            return joined
        return [z if z.ndim > 2 else dropout(z, self.dropout) for z in joined]

    def unimodal_logits(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return each modality's own logits, a list of (B, K_m)."""
        return [head(z) for head, z in zip(self.heads, features, strict=True)]

    def linear_head(self, column: int) -> nn.Linear:
        """Return a modality's own head."""
        return cast(nn.Linear, self.heads[column])

    def multimodal_logits(self, joined: Sequence[Tensor]) -> Tensor:
        """Return multimodal logits (B, K)."""
        return self.bound(self.fused(joined))

    def bound(self, logits: Tensor) -> Tensor:
        """Squeeze a regression value into [-1, 1], half ranges around the midpoint (AV-MC)."""
        return 2 * logits.sigmoid() - 1 if self.bounded else logits

    def forward(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        """Return unimodal logits, a list of (B, K_m), and multimodal logits (B, K)."""
        encoded = self.encode(batch)
        features = self.features(encoded.activations, encoded.present)
        features = list(self.drop(features, self.training))
        return self.unimodal_logits(features), self.multimodal_logits(
            self.joined(encoded, features)
        )


def zero_absent(features: Sequence[Tensor], present: Tensor) -> list[Tensor]:
    """Set the rows of absent modalities to zero."""
    if bool(present.all()):
        return list(features)
    return [z * present[:, column, None] for column, z in enumerate(features)]


def outputs_of(target: Target) -> int:
    """Return the number of logits a target needs."""
    return max(1, len(target.classes))


def _encoder(modality: Modality, preset: Preset, shapes: Mapping[str, tuple[int, ...]]) -> Module:
    shape = shapes[modality.name]
    if not shape:  # no sample has the modality: it stays a zero vector
        return _Missing()
    return encoder_for(modality, preset).build(shape)


def _post(modality: Modality, encoder: Module, preset: Preset) -> tuple[nn.Sequential, int]:
    """Return the hidden layers between encoder and last layer, and their output's width."""
    layers: list[nn.Module] = [Dropout(preset.post_dropout)] if preset.post_dropout else []
    width = encoder.width
    hidden: tuple[int, ...] = by_modality(preset.post, modality, _NO_LAYERS)
    for after in hidden:
        layers += [nn.Linear(width, after), nn.ReLU()]
        width = after
    return nn.Sequential(*layers), width


def _fusion(
    schema: Schema,
    preset: Preset,
    encoders: Sequence[Module],
    widths: Sequence[int],
    heads: nn.ModuleList,
    by_maps: bool,
) -> fusion.Fusion:
    outputs = outputs_of(schema.multimodal)
    if preset.fusion == "concat":
        return fusion.Concat(widths, outputs)
    if preset.fusion == "mlp":
        hidden = preset.fusion_hidden
        return fusion.Mlp(widths, outputs, hidden, preset.fusion_relu, preset.fusion_dropout)
    if preset.fusion == "sum":
        _same_labels(schema)
        return fusion.Sum(heads)
    if preset.fusion != "nl_gate":
        raise ValueError(f"no fusion {preset.fusion!r}; choose concat, sum, nl_gate or mlp")
    kinds = [modality.kind for modality in schema.modalities]
    main = kinds.index(ModalityKind.VIDEO) if ModalityKind.VIDEO in kinds else 0
    channels = [int(e.channels or 0) for e in encoders] if by_maps else list(widths)
    inner = channels[main] // 2 if by_maps else preset.fusion_hidden[0]
    tail = encoders[main] if by_maps else None
    return fusion.Gate(channels, main, outputs, inner, tail, preset.dropout)


def _same_labels(schema: Schema) -> None:
    multimodal = schema.multimodal
    for name in schema.names:
        own = schema.unimodal(name)
        if (own.kind, own.classes) != (multimodal.kind, multimodal.classes):
            raise ValueError(
                f"fusion sum adds the modalities' own predictions, but {own.name!r} has other "
                f"labels than {multimodal.name!r}; choose fusion concat or mlp"
            )


class _Missing(Module):
    """Stands for a modality that no training sample has."""

    width = 1

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 1, device=x.device)


def _where_present(
    encoder: Module, values: Tensor, present: Tensor, by_maps: bool
) -> tuple[Tensor, Tensor | None]:
    """Encode the rows that have the modality; the others are zero vectors (B, H) and zero maps."""
    if isinstance(encoder, _Missing) or not bool(present.any()):
        h = torch.zeros(len(present), encoder.width, device=present.device)
        return h, _empty_maps(encoder, values) if by_maps else None
    everywhere = bool(present.all())
    some = values if everywhere else values[present]
    with _steady_norms(encoder, encoder.training and len(some) == 1):
        middle = encoder.middle(some) if by_maps else None
        h = encoder(some) if middle is None else encoder.tail(middle)
    if everywhere:
        return h, middle
    return _spread(h, present), None if middle is None else _spread(middle, present)


@contextmanager
def _steady_norms(encoder: Module, lone: bool) -> Iterator[None]:
    """Let batch norms use their running statistics for a lone row, which has no spread."""
    norms = [m for m in encoder.modules() if isinstance(m, _BatchNorm) and m.training]
    norms = norms if lone else []
    for norm in norms:
        norm.eval()
    yield
    for norm in norms:
        norm.train()


def _empty_maps(encoder: Module, values: Tensor) -> Tensor:
    """Return zero maps of the shape that the encoder would give for these values."""
    training = encoder.training
    encoder.eval()  # one look at the shape must not move batch norm's statistics
    with torch.no_grad():
        shape = encoder.middle(values[:1]).shape[1:]
    encoder.train(training)
    return torch.zeros(len(values), *shape, device=values.device)


def _spread(some: Tensor, present: Tensor) -> Tensor:
    """Put rows back to where they came from, zero rows elsewhere."""
    whole = torch.zeros(len(present), *some.shape[1:], dtype=some.dtype, device=some.device)
    return whole.index_put((present.nonzero(as_tuple=True)[0],), some)
