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
from model.network import Encoded, Network, outputs_of
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
        outputs = outputs_of(schema.multimodal)
        own = [outputs_of(schema.unimodal(name)) for name in schema.names]
        self.members = nn.ModuleList(fusion.Concat(self.widths, outputs) for _ in range(MEMBERS))
        self.member_heads = nn.ModuleList(
            nn.ModuleList(fusion.classifier(*size) for size in zip(self.widths, own, strict=True))
            for _ in range(MEMBERS)
        )

    @property
    def views(self) -> list[list[slice]]:
        """The columns of each modality's views."""
        return [list(e.slices.values()) if isinstance(e, Scaled) else [] for e in self.encoders]

    @property
    def stochastic(self) -> bool:
        """Members disagree."""
        return True

    def member(self, number: int) -> fusion.Concat:
        """Return a member's fused head."""
        return cast(fusion.Concat, self.members[number])

    def features(self, activations: Sequence[Tensor], present: Tensor) -> list[Tensor]:
        """Return z_m (B, D_m): the pre-activations themselves."""
        return zero_absent(activations, present)

    def stochastic_passes(
        self, encoded: Encoded, passes: int
    ) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Yield each member's unimodal logits (B, K_m) and multimodal ones (B, K), whatever T."""
        features = self.features(encoded.activations, encoded.present)
        joined = self.joined(encoded, features)
        for member, heads in zip(self.members, self.member_heads, strict=True):
            own = zip(cast(nn.ModuleList, heads), features, strict=True)
            yield [head(z) for head, z in own], member(joined, self.lent)

    @torch.no_grad()
    def adopt(self, learnt: Learnt) -> None:
        """Take the fitted heads; with fewer folds than members some are there twice."""
        fused = cast(fusion.Concat, self.fused)
        _copy(learnt.fused.linear, -1, fused.layer)
        for column, head in enumerate(learnt.heads):
            _copy(head.linear, -1, self.linear_head(column))
        count = len(learnt.fused.linear.weight)
        for number in range(MEMBERS):
            source = number % (count - 1) if count > 1 else 0
            _copy(learnt.fused.linear, source, self.member(number).layer)
            own = cast(nn.ModuleList, self.member_heads[number])
            for head, layer in zip(learnt.heads, own, strict=True):
                _copy(head.linear, source, cast(nn.Linear, layer))


def _copy(linear: Linear, problem: int, layer: nn.Linear) -> None:
    layer.weight.copy_(linear.weight[problem].T)
    layer.bias.copy_(linear.bias[problem])
