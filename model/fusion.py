"""How features of several modalities become one prediction.

Every fusion maps features z_m, a list of M tensors (B, D_m), zero rows where absent, to logits
(B, K), and gives the logits of all 2^M coalitions at once (modalities outside are zero vectors).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations

import torch
from torch import Tensor, nn

from strategies.pool import Coalition

MOST_MODALITIES = 10


def subsets(names: Sequence[str]) -> list[Coalition]:
    """List all 2^M coalitions, by size, singletons in the given order."""
    if len(names) > MOST_MODALITIES:
        raise ValueError(
            f"Shapley values over {len(names)} modalities need 2^{len(names)} predictions per task;"
            f" at most {MOST_MODALITIES} modalities are supported. Choose badge or entropy."
        )
    groups = chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))
    return [frozenset(group) for group in groups]


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


def classifier(width: int, outputs: int) -> nn.Linear:
    """Return a linear head with BMMAL's initial values: Xavier uniform, bias 0.01."""
    layer = nn.Linear(width, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.constant_(layer.bias, 0.01)
    return layer


def build(name: str, widths: Sequence[int], outputs: int) -> Fusion:
    """Build a fusion by name."""
    choices = {"concat": Concat}
    if name not in choices:
        raise ValueError(f"no fusion {name!r}; choose one of {', '.join(choices)}")
    return choices[name](widths, outputs)
