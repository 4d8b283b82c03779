"""The network: encoders, their shared last layers, unimodal heads and the fused head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from model import fusion
from model.dropout import Dropout, dropout
from model.encoders.base import Module
from model.gate import Gate
from model.heads import Answers, FurtherHeads, Heads, outputs_of
from model.inputs import Batch
from model.options import Architecture, Preparation, by_modality
from model.parts import check_same_labels, encoder_of, hidden_layers, main_modality
from model.presence import where_present, zero_absent
from model.schema import Schema
from strategies.pool import TargetKind


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


class Network(Heads):
    """Multimodal network over a schema's modalities; lists are in `schema.names` order.

    It is the heads of the first question itself.

    Attributes:
        further: heads of the other questions.
        rectified: whether a ReLU follows the last layers.
    """

    rectified = True

    def __init__(
        self,
        schema: Schema,
        preparation: Preparation,
        architecture: Architecture,
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        super().__init__()
        self.dropout = architecture.dropout
        self.bounded = architecture.bounded and schema.multimodal.kind is TargetKind.REGRESSION
        built = [encoder_of(modality, preparation, shapes) for modality in schema.modalities]
        self.encoders = nn.ModuleList(built)
        posts = [
            hidden_layers(m, e, architecture) for m, e in zip(schema.modalities, built, strict=True)
        ]
        self.posts = nn.ModuleList(post for post, _ in posts)
        before = [width for _, width in posts]
        self.last: nn.ModuleList | None = None
        widths = before
        if architecture.projection is not None:
            widths = [by_modality(architecture.projection, m, 128) for m in schema.modalities]
            self.last = nn.ModuleList(map(nn.Linear, before, widths))
        self.widths = widths
        self.heads = nn.ModuleList(
            fusion.classifier(width, outputs_of(schema.unimodal(name)))
            for name, width in zip(schema.names, widths, strict=True)
        )
        self.by_maps = architecture.fusion == "nl_gate" and all(e.channels for e in built)
        self.main = main_modality(schema)
        self.fused = self._fusion(schema, architecture)
        self.further = nn.ModuleList(
            FurtherHeads(question, widths, self.fused, architecture.bounded)
            for question in schema.questions[1:]
        )

    @property
    def questions(self) -> list[Heads]:
        """The heads of every question, in the order of `schema.questions`."""
        return [self, *cast(Iterable[Heads], self.further)]

    def _fusion(self, schema: Schema, architecture: Architecture) -> fusion.Fusion:
        outputs, hidden = outputs_of(schema.multimodal), architecture.fusion_hidden
        if architecture.fusion == "concat":
            return fusion.Concat(self.widths, outputs)
        if architecture.fusion == "mlp":
            relu, dropped = architecture.fusion_relu, architecture.fusion_dropout
            return fusion.Mlp(self.widths, outputs, hidden, relu, dropped)
        if architecture.fusion == "sum":
            check_same_labels(schema)
            return fusion.Sum()
        if architecture.fusion != "nl_gate":
            raise ValueError(
                f"no fusion {architecture.fusion!r}; choose concat, sum, nl_gate or mlp"
            )
        if not self.by_maps:
            inner, dropped = hidden[0], architecture.dropout
            return Gate(self.widths, self.main, outputs, inner, None, dropped)
        encoders = list(cast(Iterable[Module], self.encoders))
        channels, main = [int(e.channels or 0) for e in encoders], encoders[self.main]
        inner, tail = channels[self.main] // 2, main.new_tail()
        return Gate(channels, self.main, outputs, inner, tail, architecture.dropout)

    def lent_to(self, of: Heads) -> fusion.Lent:
        """Return the modules that a question's fusion computes with but does not own."""
        heads = [of.linear_head(column) for column in range(len(of.heads))]
        first = self.fused if isinstance(self.fused, fusion.Stepwise) else None
        return fusion.Lent(heads, first)

    @property
    def lent(self) -> fusion.Lent:
        """What the first question's fusion is lent."""
        return self.lent_to(self)

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

    def stochastic_passes(self, encoded: Encoded, passes: int) -> Iterator[list[Answers]]:
        """Yield what is answered to every question, with dropout on.

        The encoders are not run again: dropout before and after the last layer and in the fusion.
        """
        parts = [
            part
            for whole in (self.posts, self.fused, self.further)
            for part in whole.modules()
            if isinstance(part, Dropout)
        ]
        for part in parts:
            part.train()
        try:
            for _ in range(passes):
                inputs = [post(h) for post, h in zip(self.posts, encoded.outputs, strict=True)]
                features = self.features(self._activations(inputs), encoded.present)
                features = list(self.drop(features, active=True))
                joined = self.drop(self.joined(encoded, features), active=encoded.maps is not None)
                yield self.answers(features, joined)
        finally:
            for part in parts:
                part.eval()

    def _activations(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        if self.last is None:
            return list(inputs)
        return [last(h) for last, h in zip(self.last, inputs, strict=True)]

    def encode(self, batch: Batch) -> Encoded:
        """Run encoders, their hidden layers and last layers."""
        outputs, maps = [], []
        encoders = cast(Iterable[Module], self.encoders)
        for column, encoder in enumerate(encoders):
            here = batch.present[:, column]
            h, middle = where_present(encoder, batch.values[column], here, self.by_maps)
            outputs.append(h)
            maps += [middle] if middle is not None else []
        return self.continued(outputs, maps or None, batch.present)

    def continued(
        self, outputs: list[Tensor], maps: list[Tensor] | None, present: Tensor
    ) -> Encoded:
        """Run the hidden layers and last layers on what the encoders gave."""
        inputs = [post(h) for post, h in zip(self.posts, outputs, strict=True)]
        return Encoded(outputs, inputs, self._activations(inputs), maps, present)

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
        return zero_absent(self.fused.alone(joined, self.lent), present)

    def drop(self, joined: Sequence[Tensor], active: bool) -> Sequence[Tensor]:
        """Apply the dropout before the heads; maps are dropped inside the gate."""
        if not active or not self.dropout:
            return joined
        return [z if z.ndim > 2 else dropout(z, self.dropout) for z in joined]

    def multimodal_logits(self, joined: Sequence[Tensor], of: Heads | None = None) -> Tensor:
        """Return multimodal logits (B, K) of a question, by default the first."""
        heads = of if of is not None else self
        return heads.bound(heads.fused(joined, self.lent_to(heads)))

    def answers(self, features: Sequence[Tensor], joined: Sequence[Tensor]) -> list[Answers]:
        """Return what is answered to every question."""
        return [
            (of.unimodal_logits(features), self.multimodal_logits(joined, of))
            for of in self.questions
        ]

    def answer(self, batch: Batch) -> list[Answers]:
        """Return what is answered to every question about a batch."""
        return self.answered(self.encode(batch))

    def answered(self, encoded: Encoded) -> list[Answers]:
        """Return what is answered to every question about encoded samples."""
        features = self.features(encoded.activations, encoded.present)
        features = list(self.drop(features, self.training))
        return self.answers(features, self.joined(encoded, features))

    def forward(self, batch: Batch) -> Answers:
        """Return unimodal logits, a list of (B, K_m), and multimodal logits (B, K)."""
        return self.answer(batch)[0]
