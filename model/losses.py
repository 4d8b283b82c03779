"""Losses per kind of target, and how unimodal and multimodal ones are joined."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from model.presets import Preset
from model.schema import Schema, Target
from strategies.pool import TargetKind


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
    target: Target, logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None
) -> Tensor:
    """Return the mean loss over samples that have a label and the modality; 0 if none has."""
    mask = mask & known(target.kind, truth)
    if not bool(mask.any()):
        return logits.sum() * 0.0
    return per_sample(target.kind, logits[mask], truth[mask], weight).mean()


def joint(
    schema: Schema,
    preset: Preset,
    outputs: tuple[list[Tensor], Tensor],
    truth: Mapping[str, Tensor],
    present: Tensor,
    weights: Mapping[str, Tensor | None],
) -> Tensor:
    """Join the losses: mean of all with one shared label (BMMAL Eq. 1), else weighted (GRACE)."""
    unimodal, fused = outputs
    own = any(target.modality is not None for target in schema.targets)
    target = schema.multimodal
    anywhere = torch.ones(len(present), dtype=torch.bool, device=present.device)
    factor = preset.loss_weights.get("multimodal", 1.0) if own else 1.0
    total = factor * masked_mean(
        target, fused, truth[target.name], anywhere, weights.get(target.name)
    )
    for column, modality in enumerate(schema.modalities):
        target = schema.unimodal(modality.name)
        factor = preset.loss_weight(modality) if own else 1.0
        total = total + factor * masked_mean(
            target,
            unimodal[column],
            truth[target.name],
            present[:, column],
            weights.get(target.name),
        )
    return total if own else total / (len(schema.modalities) + 1)
