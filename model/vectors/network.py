"""The network on prepared vectors: linear from the scaled vector to every logit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from model import fusion
from model.encoders import encoder_for
from model.encoders.scaling import Scaled
from model.heads import Answers, Heads, outputs_of
from model.network import Encoded, Network
from model.options import Architecture, Preparation
from model.presence import zero_absent
from model.presets import Preset
from model.schema import Schema
from model.vectors.folds import MEMBERS
from model.vectors.learner import Learnt
from model.vectors.solver import Linear


def on_vectors(schema: Schema, preset: Preset) -> bool:
    """Tell whether every encoder prepares vectors of views, and heads may stay linear."""
    encoders = [encoder_for(modality, preset.preparation) for modality in schema.modalities]
    return preset.network.fusion == "concat" and all(encoder.views for encoder in encoders)


def network_for(schema: Schema, preset: Preset, shapes: Mapping[str, tuple[int, ...]]) -> Network:
    """Build the network that a preset asks for."""
    kind = VectorNetwork if on_vectors(schema, preset) else Network
    return kind(schema, preset.preparation, preset.network, shapes)


class VectorNetwork(Network):
    """Scaled views, linear heads on them, and the members' heads.

    Note: what is scaled needs no further layer before the heads; a last layer W_k, the identity, is
    where GRACE reads its gradients, and z_k = W_k h_k without ReLU. Members take the place of
    dropout: their disagreement is what the stochastic passes of BALD and `mc_mean` show.
    """

    rectified = False

    def __init__(
        self,
        schema: Schema,
        preparation: Preparation,
        architecture: Architecture,
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        plain = replace(architecture, projection=None, post={}, dropout=0.0, bounded=False)
        super().__init__(schema, preparation, plain, shapes)
        self.last = nn.ModuleList(nn.Linear(width, width, bias=False) for width in self.widths)
        for layer in self.last:
            nn.init.eye_(cast(nn.Linear, layer).weight)
        for of, question in zip(self.questions, schema.questions, strict=True):
            _add_members(of, self.widths, schema.about(question))

    @property
    def views(self) -> list[list[slice]]:
        """The columns of each modality's views."""
        return [list(e.slices.values()) if isinstance(e, Scaled) else [] for e in self.encoders]

    @property
    def stochastic(self) -> bool:
        """Members disagree."""
        return True

    def member(self, number: int, of: Heads | None = None) -> fusion.Concat:
        """Return a member's fused head of a question, by default the first."""
        members = cast(nn.ModuleList, (of if of is not None else self).members)
        return cast(fusion.Concat, members[number])

    def features(self, activations: Sequence[Tensor], present: Tensor) -> list[Tensor]:
        """Return z_m (B, D_m): the pre-activations themselves."""
        return zero_absent(activations, present)

    def stochastic_passes(self, encoded: Encoded, passes: int) -> Iterator[list[Answers]]:
        """Yield each member's answers to every question, whatever T."""
        features = self.features(encoded.activations, encoded.present)
        joined = self.joined(encoded, features)
        for number in range(MEMBERS):
            found: list[Answers] = []
            for of in self.questions:
                own = zip(_member_heads(of, number), features, strict=True)
                fused = self.member(number, of)(joined, self.lent)
                found.append(([head(z) for head, z in own], fused))
            yield found

    @torch.no_grad()
    def adopt(self, learnt: Learnt, of: Heads) -> None:
        """Take a question's fitted heads; with fewer folds than members some are there twice."""
        fused = cast(fusion.Concat, of.fused)
        _copy(learnt.fused.linear, -1, fused.layer)
        for column, head in enumerate(learnt.heads):
            _copy(head.linear, -1, of.linear_head(column))
        count = len(learnt.fused.linear.weight)
        for number in range(MEMBERS):
            source = number % (count - 1) if count > 1 else 0
            _copy(learnt.fused.linear, source, self.member(number, of).layer)
            for head, layer in zip(learnt.heads, _member_heads(of, number), strict=True):
                _copy(head.linear, source, layer)


def _add_members(of: Heads, widths: Sequence[int], schema: Schema) -> None:
    """Give a question's heads a member for each fold."""
    outputs = outputs_of(schema.multimodal)
    own = [outputs_of(schema.unimodal(name)) for name in schema.names]
    of.members = nn.ModuleList(fusion.Concat(widths, outputs) for _ in range(MEMBERS))
    of.member_heads = nn.ModuleList(
        nn.ModuleList(fusion.classifier(*size) for size in zip(widths, own, strict=True))
        for _ in range(MEMBERS)
    )


def _member_heads(of: Heads, number: int) -> Sequence[nn.Linear]:
    members = cast(nn.ModuleList, of.member_heads)
    return cast(Sequence[nn.Linear], members[number])


def _copy(linear: Linear, problem: int, layer: nn.Linear) -> None:
    layer.weight.copy_(linear.weight[problem].T)
    layer.bias.copy_(linear.bias[problem])
