"""Losses per kind of target, and how unimodal and multimodal ones are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from model.arrays import Array
from model.heads import Answers
from model.mixup import Blend
from model.options import Training, by_modality
from model.schema import Schema, Target
from strategies.pool import TargetKind

_MOST_WEIGHT = 100.0


def per_sample(kind: TargetKind, logits: Tensor, truth: Tensor, weight: Tensor | None) -> Tensor:
    """Return (B,) losses: softmax or sigmoid cross-entropy, or L1.

    Args:
        kind: of the target.
        logits: (B, K); (B, 1) for regression, in units of half the target's range.
        truth: (B,) class index, (B, K) soft or multilabel, or (B,) number in the same units.
        weight: (K,) class weights.
    """
    if kind is TargetKind.REGRESSION:
        return (logits[:, 0] - truth).abs()
    if kind is TargetKind.MULTILABEL:
        losses = functional.binary_cross_entropy_with_logits(
            logits, truth, pos_weight=weight, reduction="none"
        )
        return losses.mean(dim=1)
    return functional.cross_entropy(logits, truth, weight=weight, reduction="none")


def known(kind: TargetKind, truth: Tensor) -> Tensor:
    """Return (B,) whether a label is known."""
    if truth.ndim == 2:
        return truth.isfinite().all(dim=1)
    return truth.isfinite() if kind is TargetKind.REGRESSION else truth >= 0


def masked_mean(
    target: Target,
    logits: Tensor,
    truth: Tensor,
    mask: Tensor,
    weight: Tensor | None,
    shares: Tensor | None = None,
) -> Tensor:
    """Return the mean loss over samples that have a label and the modality; 0 if none has.

    Args:
        target: whose loss.
        logits: (B, K).
        truth: as in `per_sample`.
        mask: (B,) which samples have the modality.
        weight: (K,) class weights.
        shares: (B,) what each of a sample's labels counts, which are of several questions; 0 where
            it has none. Then the mean is over samples that have any.
    """
    if shares is not None:
        some = mask & known(target.kind, truth)
        if not bool(some.any()):
            return logits.sum() * 0.0
        parts = per_sample(target.kind, logits[some], truth[some], weight)
        return (parts * shares[some]).sum() / (mask & (shares > 0)).sum().clamp(min=1)
    mask = mask & known(target.kind, truth)
    count = int(mask.sum())
    if count == 0:
        return logits.sum() * 0.0
    if count == len(mask):
        return per_sample(target.kind, logits, truth, weight).mean()
    return per_sample(target.kind, logits[mask], truth[mask], weight).mean()


def joint(
    schema: Schema,
    training: Training,
    outputs: tuple[list[Tensor], Tensor],
    truth: Mapping[str, Tensor],
    present: Tensor,
    weights: Mapping[str, Tensor | None],
    shares: Tensor | None = None,
    blend: Blend | None = None,
) -> Tensor:
    """Join the losses: mean of all with one shared label (BMMAL Eq. 1), else weighted (GRACE).

    Heads that see what was blended are compared with the labels of both samples.
    """
    unimodal, fused = outputs
    own = any(target.modality is not None for target in schema.targets)

    def loss(target: Target, logits: Tensor, column: int | None) -> Tensor:
        mask = torch.ones_like(present[:, 0]) if column is None else present[:, column]
        counts = shares if target.modality is None else None
        weight, values = weights.get(target.name), truth[target.name]
        plain = masked_mean(target, logits, values, mask, weight, counts)
        if blend is None or not blend.touches(column):
            return plain
        theirs = counts if counts is None else counts[blend.partner]
        other = masked_mean(target, logits, values[blend.partner], mask, weight, theirs)
        return blend.share * plain + (1 - blend.share) * other

    factor = training.loss_weights.get("multimodal", 1.0) if own else 1.0
    total = factor * loss(schema.multimodal, fused, None)
    for column, modality in enumerate(schema.modalities):
        factor = by_modality(training.loss_weights, modality, 1.0) if own else 1.0
        total = total + factor * loss(schema.unimodal(modality.name), unimodal[column], column)
    return total if own else total / (len(schema.modalities) + 1)


def of_questions(
    schema: Schema,
    training: Training,
    answers: Sequence[Answers],
    truth: Mapping[str, Tensor],
    present: Tensor,
    weights: Mapping[str, Tensor | None],
    blend: Blend | None = None,
) -> Tensor:
    """Return the mean over samples of the mean loss over the questions that have its label."""
    if len(schema.questions) == 1:
        return joint(schema, training, answers[0], truth, present, weights, None, blend)
    counts = torch.stack([known(q.kind, truth[q.name]) for q in schema.questions]).sum(dim=0)
    shares = torch.where(counts > 0, 1 / counts, 0.0)
    parts = [
        joint(schema.about(question), training, answer, truth, present, weights, shares, blend)
        for question, answer in zip(schema.questions, answers, strict=True)
    ]
    return torch.stack(parts).sum(dim=0)


def class_weights(
    schema: Schema, training: Training, truth: Mapping[str, Tensor], rows: Array
) -> dict[str, Tensor | None]:
    """Return (K,) weights per target that make classes count alike, or None without the option.

    Classification: N / (K n_c); multilabel: negatives per positive. Classes without a label get 1.
    """
    weights: dict[str, Tensor | None] = {}
    for target in schema.targets:
        weights[target.name] = None
        if not training.class_weights or target.kind is TargetKind.REGRESSION:
            continue
        values = truth[target.name]
        values = values[torch.from_numpy(rows).to(values.device)]
        values = values[known(target.kind, values)]
        if values.ndim == 1:
            values = functional.one_hot(values, len(target.classes)).float()
        counts, size = values.sum(dim=0), float(len(values))
        if target.kind is TargetKind.MULTILABEL:
            ratio = (size - counts) / counts
        else:
            ratio = size / (len(target.classes) * counts)
        weights[target.name] = torch.where(counts > 0, ratio, 1.0).clamp(max=_MOST_WEIGHT)
    return weights
