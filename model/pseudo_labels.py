"""The labels GRACE pretends to know, and the losses whose gradients it reads.

Classification: each head's own argmax. Regression (the paper is silent, and a head's own value
would give a zero L1 gradient):

- `polarity`: the end of the label range on the side of the midpoint that the prediction is on.
- `mc_mean`: the mean of stochastic passes with dropout on.
- `teacher`: the multimodal prediction teaches the modalities, their mean teaches the multimodal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.model import Model
from model.network import Network
from model.schema import Target
from strategies.pool import TargetKind

RULES = ("polarity", "mc_mean", "teacher")


@dataclass(frozen=True)
class PseudoLabels:
    """One (B, ...) label per modality, and the multimodal one."""

    unimodal: list[Tensor]
    multimodal: Tensor


def mean_of_passes(
    network: Network, features: Sequence[Tensor], passes: int
) -> tuple[list[Tensor], Tensor]:
    """Return the mean over stochastic passes of unimodal (B, 1) and multimodal (B, 1) values."""
    with torch.no_grad():
        each, fused = network.head_passes(features, passes)
    own = [torch.stack(logits).mean(dim=0) for logits in zip(*each, strict=True)]
    return own, torch.stack(fused).mean(dim=0)


def labels(
    model: Model,
    features: Sequence[Tensor],
    own: list[Tensor],
    fused: Tensor,
    rule: str,
    passes: int,
) -> PseudoLabels:
    """Return pseudo-labels for unimodal logits (list of (B, K_m)) and multimodal ones (B, K)."""
    schema = model.schema
    targets = [schema.unimodal(name) for name in schema.names]
    guesses = [_guess(target, f) for target, f in zip(targets, own, strict=True)]
    is_number = [target.kind is TargetKind.REGRESSION for target in targets]
    if rule == "polarity" or schema.multimodal.kind is not TargetKind.REGRESSION:
        return PseudoLabels(guesses, _guess(schema.multimodal, fused))
    if rule == "teacher":
        taught = [fused] * len(own)
        heads = [f for f, number in zip(own, is_number, strict=True) if number] or [fused]
        mean = torch.stack(heads).mean(dim=0)
    else:
        taught, mean = mean_of_passes(model.network, features, passes)
    unimodal = [
        teacher[:, 0] if number else guess
        for teacher, number, guess in zip(taught, is_number, guesses, strict=True)
    ]
    return PseudoLabels(unimodal, mean[:, 0])


def _guess(target: Target, logits: Tensor) -> Tensor:
    if target.kind is TargetKind.CLASSIFICATION:
        return logits.argmax(dim=1)
    if target.kind is TargetKind.MULTILABEL:
        return (logits >= 0).to(logits.dtype)
    # In units of half the range: the range's ends are -1 and 1; exactly the midpoint counts as +.
    return torch.where(logits[:, 0] >= 0, 1.0, -1.0)
