"""The labels GRACE pretends to know, and the losses whose gradients it reads.

Classification: each head's own argmax. Regression (the paper is silent, and a head's own value
would give a zero L1 gradient):

- `polarity`: the end of the label range on the side of the midpoint that the prediction is on, or
  beyond it. Of an L1 loss only the sign of the residual counts: -sign(prediction).
- `mc_mean`: the mean of stochastic passes with dropout on.
- `teacher`: the multimodal prediction teaches the modalities, their mean teaches the multimodal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from model.heads import Answers
from model.network import Encoded, Network
from model.schema import Schema, Target
from strategies.options import PseudoLabel
from strategies.pool import TargetKind

RULES = get_args(PseudoLabel)


@dataclass(frozen=True)
class PseudoLabels:
    """One (B, ...) label per modality, and the multimodal one."""

    unimodal: list[Tensor]
    multimodal: Tensor


def mean_of_passes(network: Network, encoded: Encoded, passes: int) -> list[Answers]:
    """Return the mean over stochastic passes of what is answered to every question."""
    with torch.no_grad():
        drawn = list(network.stochastic_passes(encoded, passes))
    means: list[Answers] = []
    for answers in zip(*drawn, strict=True):
        each, fused = zip(*answers, strict=True)
        own = [torch.stack(logits).mean(dim=0) for logits in zip(*each, strict=True)]
        means.append((own, torch.stack(fused).mean(dim=0)))
    return means


def labels(schema: Schema, answers: Answers, rule: str, means: Answers | None) -> PseudoLabels:
    """Return pseudo-labels of one question.

    Args:
        schema: of that question alone.
        answers: logits of it.
        rule: for numbers.
        means: of stochastic passes, for the rule `mc_mean`.
    """
    own, fused = answers
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
        assert means is not None
        taught, mean = means
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
    # In units of half the range around its midpoint, which counts as +; 1 beyond the prediction, so
    # that the L1 residual is -sign(prediction) where that leaves the range, too.
    value = logits[:, 0]
    return torch.where(value >= 0, value.clamp(min=0) + 1, value.clamp(max=0) - 1)
