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

from model import losses
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
        network.fused.train()
        own, fused = [], []
        for _ in range(passes):
            dropped = network.drop(features, active=True)
            own.append(torch.stack(network.unimodal_logits(dropped)))
            fused.append(network.multimodal_logits(dropped))
        network.fused.eval()
    return list(torch.stack(own).mean(dim=0)), torch.stack(fused).mean(dim=0)


def labels(
    model: Model,
    own: list[Tensor],
    fused: Tensor,
    rule: str,
    stochastic: tuple[list[Tensor], Tensor] | None,
) -> PseudoLabels:
    """Return pseudo-labels for unimodal logits (list of (B, K_m)) and multimodal ones (B, K)."""
    schema = model.schema
    targets = [schema.unimodal(name) for name in schema.names]
    own, fused = [f.detach() for f in own], fused.detach()
    if schema.multimodal.kind is TargetKind.REGRESSION:
        if rule == "teacher":
            taught = [fused[:, 0] if t.kind is TargetKind.REGRESSION else None for t in targets]
            unimodal = [
                teacher if teacher is not None else _guess(t, f)
                for teacher, t, f in zip(taught, targets, own, strict=True)
            ]
            numbers = [
                f for t, f in zip(targets, own, strict=True) if t.kind is TargetKind.REGRESSION
            ]
            return PseudoLabels(unimodal, torch.stack(numbers).mean(dim=0)[:, 0])
        if rule == "mc_mean" and stochastic is not None:
            means, mean = stochastic
            unimodal = [
                m[:, 0] if t.kind is TargetKind.REGRESSION else _guess(t, f)
                for m, t, f in zip(means, targets, own, strict=True)
            ]
            return PseudoLabels(unimodal, mean[:, 0])
    unimodal = [_guess(target, f) for target, f in zip(targets, own, strict=True)]
    return PseudoLabels(unimodal, _guess(schema.multimodal, fused))


def _guess(target: Target, logits: Tensor) -> Tensor:
    if target.kind is TargetKind.CLASSIFICATION:
        return logits.argmax(dim=1)
    if target.kind is TargetKind.MULTILABEL:
        return (logits >= 0).to(logits.dtype)
    # In units of half the range: the range's ends are -1 and 1; exactly the midpoint counts as +.
    return torch.where(logits[:, 0] >= 0, 1.0, -1.0)


def total(model: Model, own: list[Tensor], truths: list[Tensor], present: Tensor) -> Tensor:
    """Sum the unweighted unimodal losses over samples that have the modality."""
    schema = model.schema
    sums = [
        (losses.per_sample(schema.unimodal(name).kind, f, truth, None) * present[:, column]).sum()
        for column, (name, f, truth) in enumerate(zip(schema.names, own, truths, strict=True))
    ]
    return torch.stack(sums).sum()


def fused_total(model: Model, fused: Tensor, truth: Tensor) -> Tensor:
    """Sum the multimodal losses."""
    return losses.per_sample(model.schema.multimodal.kind, fused, truth, None).sum()
