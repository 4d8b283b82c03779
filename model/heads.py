"""Heads of one question: one on each modality alone, and the fused one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from model import fusion
from model.dropout import Dropout
from model.schema import Target
from strategies.pool import TargetKind

Answers = tuple[list[Tensor], Tensor]
"""Unimodal logits of one question, a list of (B, K_m), and its multimodal logits (B, K)."""


class Heads(nn.Module):
    """The heads of one question on features that all questions share.

    Attributes:
        heads: one linear head per modality.
        fused: the multimodal head.
        bounded: whether its value is squeezed into [-1, 1].
    """

    heads: nn.ModuleList
    fused: fusion.Fusion
    bounded: bool

    def linear_head(self, column: int) -> nn.Linear:
        """Return a modality's own head."""
        return cast(nn.Linear, self.heads[column])

    def unimodal_logits(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return each modality's own logits, a list of (B, K_m)."""
        return [head(z) for head, z in zip(self.heads, features, strict=True)]

    def bound(self, logits: Tensor) -> Tensor:
        """Squeeze a regression value into [-1, 1], half ranges around the midpoint (AV-MC)."""
        return 2 * logits.sigmoid() - 1 if self.bounded else logits


class FurtherHeads(Heads):
    """The heads of one more question, beside those of the first one."""

    def __init__(
        self, question: Target, widths: Sequence[int], first: fusion.Fusion, bounded: bool
    ) -> None:
        """Build heads on the features that the first question's fusion reads.

        Args:
            question: what is asked.
            widths: D_m of the modalities' features.
            first: the first question's fusion; where it makes a vector of the features, that
                vector is shared, too, and only the last layer is another one.
            bounded: whether numbers are squeezed into their range.
        """
        super().__init__()
        outputs = outputs_of(question)
        self.bounded = bounded and question.kind is TargetKind.REGRESSION
        self.heads = nn.ModuleList(fusion.classifier(width, outputs) for width in widths)
        if isinstance(first, fusion.Stepwise):
            self.fused: fusion.Fusion = Beside(first, outputs)
        elif isinstance(first, fusion.Sum):
            self.fused = fusion.Sum()
        else:
            self.fused = fusion.Concat(widths, outputs)


class Beside(fusion.Stepwise):
    """One more last layer on the vector that another question's fusion makes."""

    def __init__(self, first: fusion.Stepwise, outputs: int) -> None:
        super().__init__()
        self.width = first.width
        found = getattr(first, "dropout", None)
        self.dropout = Dropout(found.p if isinstance(found, Dropout) else 0.0)
        self.head = fusion.classifier(first.width, outputs)

    def weight(self, lent: fusion.Lent) -> Tensor:
        """Return the head's weight (K, width)."""
        return self.head.weight

    def joined(self, features: Sequence[Tensor], lent: fusion.Lent) -> Tensor:
        """Return the other fusion's vector (B, width)."""
        assert lent.first is not None
        return lent.first.joined(features, lent)

    def forward(self, features: Sequence[Tensor], lent: fusion.Lent) -> Tensor:
        """Return logits (B, K)."""
        return self.head(self.dropout(self.joined(features, lent)))


def outputs_of(target: Target) -> int:
    """Return the number of logits a target needs."""
    return max(1, len(target.classes))
