"""How features of several modalities become one prediction.

Every fusion maps features z_m, a list of M tensors (B, D_m), zero rows where absent, to logits
(B, K), and gives the logits of all 2^M coalitions at once (modalities outside are zero vectors).
`Gate` takes mid-level maps (B, C_m, ...) in place of features where encoders have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from model.dropout import Dropout
from model.encoders.base import Module
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


class Fusion(nn.Module):
    """A fused head."""

    def coalitions(self, features: Sequence[Tensor], members: Tensor) -> Tensor:
        """Return logits (2^M, B, K) of the coalitions that `members` (2^M, M) lists."""
        raise NotImplementedError


class Additive(Fusion):
    """Fusions whose logits are a sum of one term per modality and a constant."""

    def terms(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return (M, B, K) terms that vanish for zero features, and the (K,) constant."""
        raise NotImplementedError

    def weight(self) -> Tensor:
        """Return the (K, sum D_m) weight of the equivalent linear layer."""
        raise NotImplementedError

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return logits (B, K)."""
        terms, constant = self.terms(features)
        return terms.sum(dim=0) + constant

    def coalitions(self, features: Sequence[Tensor], members: Tensor) -> Tensor:
        """Return logits (2^M, B, K), each term computed once."""
        terms, constant = self.terms(features)
        return torch.tensordot(members, terms, dims=1) + constant


class Concat(Additive):
    """One linear layer on [z_1; ...; z_M] (BMMAL's standard model)."""

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.widths = list(widths)
        self.layer = classifier(sum(widths), outputs)

    def terms(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Split the linear layer by modality."""
        parts = self.layer.weight.split(self.widths, dim=1)
        products = [z @ part.T for z, part in zip(features, parts, strict=True)]
        return torch.stack(products), self.layer.bias

    def weight(self) -> Tensor:
        """Return the layer's own weight."""
        return self.layer.weight

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return logits (B, K) by one product."""
        return self.layer(torch.cat(list(features), dim=1))


class Sum(Additive):
    """The mean of the unimodal logits: no weights of its own.

    Note: a modality that is zeroed (or absent) still adds its head's bias, as in the published
    model, so V(none) is the softmax of the mean bias.
    """

    def __init__(self, heads: nn.ModuleList) -> None:
        super().__init__()
        self._heads = [heads]  # in a list: owned, saved and trained by the network

    @property
    def heads(self) -> list[nn.Linear]:
        """The unimodal heads."""
        return [head for head in self._heads[0] if isinstance(head, nn.Linear)]

    def terms(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return each modality's share of the mean."""
        heads = self.heads
        products = [z @ head.weight.T for z, head in zip(features, heads, strict=True)]
        bias = torch.stack([head.bias for head in heads]).mean(dim=0)
        return torch.stack(products) / len(heads), bias

    def weight(self) -> Tensor:
        """Return the heads' weights side by side, each divided by M."""
        return torch.cat([head.weight for head in self.heads], dim=1) / len(self.heads)


class Stepwise(Fusion):
    """Fusions whose last layer reads another vector than [z_1; ...; z_M].

    They have to be computed anew for every coalition.

    Attributes:
        width: of that vector.
    """

    width: int

    def joined(self, features: Sequence[Tensor]) -> Tensor:
        """Return the input (B, width) of the last layer."""
        raise NotImplementedError

    def alone(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return each modality's (B, width): the joined vector with all others set to zero."""
        return [
            self.joined([z if k == kept else torch.zeros_like(z) for k, z in enumerate(features)])
            for kept in range(len(features))
        ]

    def coalitions(self, features: Sequence[Tensor], members: Tensor) -> Tensor:
        """Return logits (2^M, B, K) in one pass over (2^M B) rows."""
        stacked = [
            (z[None] * member.view(-1, *[1] * z.ndim)).flatten(0, 1)
            for z, member in zip(features, members.T, strict=True)
        ]
        return self(stacked).unflatten(0, (len(members), -1))


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

    def joined(self, features: Sequence[Tensor]) -> Tensor:
        """Return the last hidden layer (B, width)."""
        return self.layers[:-1](torch.cat(list(features), dim=1))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return logits (B, K)."""
        return self.layers(torch.cat(list(features), dim=1))


class Gate(Stepwise):
    """Non-local gate of BMMAL: one modality's map attends to all others (reference: NL-gate).

    out = v + h(softmax(theta(v) . phi(a)) . g(a)) with v the main modality's map (B, C, ...) and a
    the other modalities' maps, to each of which the main map, averaged over space, is joined as
    further channels. `tail` continues with `out`: the main network's fourth stage where maps are
    mid-level ones, a mean over positions where modalities are plain vectors.

    Note: the paper has M = 2. For M > 2 every other modality has its own phi and g, and the softmax
    runs over the positions of all of them; for M = 1 the map attends to itself.
    """

    def __init__(
        self,
        channels: Sequence[int],
        main: int,
        outputs: int,
        inner: int,
        tail: Module | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.main = main
        self.others = [m for m in range(len(channels)) if m != main] or [main]
        width = channels[main]
        self.theta, self.h = nn.Linear(width, inner), nn.Linear(inner, width)
        self.phi = nn.ModuleList(nn.Linear(channels[m] + width, inner) for m in self.others)
        self.g = nn.ModuleList(nn.Linear(channels[m] + width, inner) for m in self.others)
        self._tail = [tail]  # in a list: owned, saved and trained by the network
        self.width = tail.width if tail is not None else width
        self.dropout = Dropout(dropout)
        self.head = classifier(self.width, outputs)

    def joined(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the gated feature (B, width) of maps (B, C_m, ...)."""
        main = maps[self.main]
        query = self.theta(main.flatten(2).transpose(1, 2)) if main.ndim > 2 else None
        if query is None:
            query = self.theta(main)[:, None]
        keys, values = [], []
        for other, phi, g in zip(self.others, self.phi, self.g, strict=True):
            pairs = _with_main(maps[other], main)
            keys.append(phi(pairs))
            values.append(g(pairs))
        attention = (query @ torch.cat(keys, dim=1).transpose(1, 2)).softmax(dim=2)
        added = self.h(attention @ torch.cat(values, dim=1))
        out = main + added.transpose(1, 2).reshape(main.shape)
        tail = self._tail[0]
        return tail.tail(out) if tail is not None else out

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return logits (B, K)."""
        return self.head(self.dropout(self.joined(maps)))


def _with_main(other: Tensor, main: Tensor) -> Tensor:
    """Join the main map to each position of another one: (B, P, C_other + C_main).

    A clip's map (B, C, T, H, W) is averaged over space and its T steps are repeated along the
    other map's time (its last axis), as in the published gate; any other map is averaged whole.
    """
    flat = other.flatten(2) if other.ndim > 2 else other[..., None]
    if main.ndim == 5 and other.ndim > 2:
        course = main.mean(dim=(3, 4))
        time = torch.arange(other.shape[-1], device=other.device) * course.shape[2]
        stretched = course[:, :, time // other.shape[-1]]
        rows = flat.shape[2] // other.shape[-1]
        beside = stretched.repeat(1, 1, rows)
    else:
        mean = main.flatten(2).mean(dim=2) if main.ndim > 2 else main
        beside = mean[..., None].expand(-1, -1, flat.shape[2])
    return torch.cat([flat, beside], dim=1).transpose(1, 2)


def classifier(width: int, outputs: int) -> nn.Linear:
    """Return a linear head with BMMAL's initial values: Xavier uniform, bias 0.01."""
    layer = nn.Linear(width, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.constant_(layer.bias, 0.01)
    return layer
