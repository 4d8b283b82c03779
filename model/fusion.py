"""How features of several modalities become one prediction.

Every fusion maps features z_m, a list of M tensors (B, D_m), zero rows where absent, to logits
(B, K), and gives the logits of all 2^M coalitions at once (modalities outside are zero vectors).
`Gate` (`model.gate`) takes mid-level maps (B, C_m, ...) in place of features where encoders have
them.

Some compute with modules that the network owns, saves and trains: those are handed to every call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from model.dropout import Dropout
from strategies.pool import Coalition
from strategies.shapley import all_coalitions

MOST_MODALITIES = 8


def subsets(names: Sequence[str]) -> list[Coalition]:
    """List all 2^M coalitions, by size, singletons in the given order."""
    if len(names) > MOST_MODALITIES:
        raise ValueError(
            f"Shapley values over {len(names)} modalities need 2^{len(names)} predictions per task;"
            f" at most {MOST_MODALITIES} modalities are supported. Choose badge or entropy."
        )
    return all_coalitions(names)


def membership(names: Sequence[str]) -> Tensor:
    """Return (2^M, M) with 1 where a coalition of `subsets` holds a modality."""
    return torch.tensor([[float(n in group) for n in names] for group in subsets(names)])


@dataclass(frozen=True)
class Lent:
    """What a network lends to its fusion.

    Attributes:
        heads: each modality's own head.
        first: the first question's fusion, where other questions read the vector that it makes.
    """

    heads: Sequence[nn.Linear] = ()
    first: Stepwise | None = None


class Fusion(nn.Module):
    """A fused head, whose last layer is linear."""

    def weight(self, lent: Lent) -> Tensor:
        """Return the (K, D) weight of the last layer, or of an equivalent one."""
        raise NotImplementedError

    def coalitions(self, features: Sequence[Tensor], members: Tensor, lent: Lent) -> Tensor:
        """Return logits (2^M, B, K) of the coalitions that `members` (2^M, M) lists."""
        raise NotImplementedError


class Additive(Fusion):
    """Fusions whose logits are a sum of one term per modality and a constant."""

    def terms(self, features: Sequence[Tensor], lent: Lent) -> tuple[Tensor, Tensor]:
        """Return (M, B, K) terms that vanish for zero features, and the (K,) constant."""
        raise NotImplementedError

    def forward(self, features: Sequence[Tensor], lent: Lent) -> Tensor:
        """Return logits (B, K)."""
        terms, constant = self.terms(features, lent)
        return terms.sum(dim=0) + constant

    def coalitions(self, features: Sequence[Tensor], members: Tensor, lent: Lent) -> Tensor:
        """Return logits (2^M, B, K), each term computed once."""
        terms, constant = self.terms(features, lent)
        return torch.tensordot(members, terms, dims=1) + constant


class Concat(Additive):
    """One linear layer on [z_1; ...; z_M] (BMMAL's standard model)."""

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.widths = list(widths)
        self.layer = classifier(sum(widths), outputs)

    def terms(self, features: Sequence[Tensor], lent: Lent) -> tuple[Tensor, Tensor]:
        """Split the linear layer by modality."""
        parts = self.layer.weight.split(self.widths, dim=1)
        products = [z @ part.T for z, part in zip(features, parts, strict=True)]
        return torch.stack(products), self.layer.bias

    def weight(self, lent: Lent) -> Tensor:
        """Return the layer's own weight."""
        return self.layer.weight

    def forward(self, features: Sequence[Tensor], lent: Lent) -> Tensor:
        """Return logits (B, K) by one product."""
        return self.layer(torch.cat(list(features), dim=1))


class Sum(Additive):
    """The mean of the unimodal logits: no weights of its own.

    Note: a modality that is zeroed (or absent) still adds its head's bias, as in the published
    model, so V(none) is the softmax of the mean bias.
    """

    def terms(self, features: Sequence[Tensor], lent: Lent) -> tuple[Tensor, Tensor]:
        """Return each modality's share of the mean."""
        heads = lent.heads
        products = [z @ head.weight.T for z, head in zip(features, heads, strict=True)]
        bias = torch.stack([head.bias for head in heads]).mean(dim=0)
        return torch.stack(products) / len(heads), bias

    def weight(self, lent: Lent) -> Tensor:
        """Return the heads' weights side by side, each divided by M."""
        return torch.cat([head.weight for head in lent.heads], dim=1) / len(lent.heads)


class Stepwise(Fusion):
    """Fusions whose last layer reads another vector than [z_1; ...; z_M].

    They have to be computed anew for every coalition.

    Attributes:
        width: of that vector.
    """

    width: int

    def joined(self, features: Sequence[Tensor], lent: Lent) -> Tensor:
        """Return the input (B, width) of the last layer."""
        raise NotImplementedError

    def alone(self, features: Sequence[Tensor], lent: Lent) -> list[Tensor]:
        """Return each modality's (B, width): the joined vector with all others set to zero."""
        return [
            self.joined(
                [z if k == kept else torch.zeros_like(z) for k, z in enumerate(features)], lent
            )
            for kept in range(len(features))
        ]

    def coalitions(self, features: Sequence[Tensor], members: Tensor, lent: Lent) -> Tensor:
        """Return logits (2^M, B, K) in one pass over (2^M B) rows."""
        stacked = [
            (z[None] * member.view(-1, *[1] * z.ndim)).flatten(0, 1)
            for z, member in zip(features, members.T, strict=True)
        ]
        return self(stacked, lent).unflatten(0, (len(members), -1))


class Mlp(Stepwise):
    """GRACE's fusion MLP on [z_1; ...; z_M].

    Note: the published task model has no activation between its layers; `relu` adds one.
    """

    def __init__(
        self,
        widths: Sequence[int],
        outputs: int,
        hidden: Sequence[int],
        relu: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [Dropout(dropout)]
        for before, after in pairwise([sum(widths), *hidden]):
            layers += [nn.Linear(before, after)] + ([nn.ReLU()] if relu else [])
        self.layers = nn.Sequential(*layers, classifier(hidden[-1], outputs))
        self.width = hidden[-1]

    def weight(self, lent: Lent) -> Tensor:
        """Return the weight of the layer behind the hidden ones."""
        return cast(nn.Linear, self.layers[-1]).weight

    def joined(self, features: Sequence[Tensor], lent: Lent) -> Tensor:
        """Return the last hidden layer (B, width)."""
        return self.layers[:-1](torch.cat(list(features), dim=1))

    def forward(self, features: Sequence[Tensor], lent: Lent) -> Tensor:
        """Return logits (B, K)."""
        return self.layers(torch.cat(list(features), dim=1))


def classifier(width: int, outputs: int) -> nn.Linear:
    """Return a linear head with BMMAL's initial values: Xavier uniform, bias 0.01."""
    layer = nn.Linear(width, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.constant_(layer.bias, 0.01)
    return layer
