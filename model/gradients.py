"""GRACE's gradients at the last layers' pre-activations, for all samples at once (section 3.2).

A sample's pre-activations only enter its own loss, so one batched backward pass serves all samples.
Heads are linear, so that pass is written out: the gradient at the logits, times the head's weight,
where the ReLU is open (networks on prepared vectors have none). Fusions that are no single linear
layer are left to autograd.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model import fusion, losses, pseudo_labels
from model.heads import Answers, Heads
from model.model import Model
from model.network import Encoded, Network
from model.schema import Schema
from strategies.pool import TargetKind


def at_logits(kind: TargetKind, logits: Tensor, truth: Tensor) -> Tensor:
    """Return (B, K) gradients of `losses.per_sample` at logits (B, K)."""
    if kind is TargetKind.REGRESSION:
        return (logits - truth[:, None]).sign()
    if kind is TargetKind.MULTILABEL:
        return (logits.sigmoid() - truth) / logits.shape[1]
    residual = logits.softmax(dim=1)
    residual[torch.arange(len(truth), device=truth.device), truth] -= 1
    return residual


@dataclass(frozen=True)
class Factors:
    """Where a batch's d_k and d_mk go: one (B, D_k) CPU tensor per modality each."""

    unimodal: list[Tensor]
    multimodal: list[Tensor]


def write_layer_gradients(
    model: Model,
    encoded: Encoded,
    features: list[Tensor],
    answers: Sequence[Answers],
    into: Factors,
    rule: str,
    passes: int,
) -> None:
    """Write d_k = dL_k/da_k and d_mk = dL_m/da_k for pre-activations a_k, (B, D_k) each.

    The losses are unweighted and the labels pseudo-labels; rows of absent modalities are zero.
    Several questions meet at the same pre-activations: their gradients are added.

    Args:
        model: a model whose network has last layers.
        encoded: what its encoders gave.
        features: (B, D_k) z_k of them.
        answers: to every question, of those.
        into: where the result goes.
        rule: pseudo-label rule for regression.
        passes: stochastic passes of the rule `mc_mean`.
    """
    network, schema = model.network, model.schema
    means: Sequence[Answers | None] = [None] * len(answers)
    numbers = any(q.kind is TargetKind.REGRESSION for q in schema.questions)
    if rule == "mc_mean" and numbers:
        means = pseudo_labels.mean_of_passes(network, encoded, passes)
    whole = into
    for place, (question, of) in enumerate(zip(schema.questions, network.questions, strict=True)):
        if place == 1:  # the first is written where it belongs, the others beside it
            into = Factors(
                [torch.empty_like(d) for d in whole.unimodal],
                [torch.empty_like(d) for d in whole.multimodal],
            )
        about = schema.about(question)
        truths = pseudo_labels.labels(about, answers[place], rule, means[place])
        _write_question(network, of, about, encoded, features, answers[place], truths, into)
        if place:
            for total, part in zip(
                [*whole.unimodal, *whole.multimodal],
                [*into.unimodal, *into.multimodal],
                strict=True,
            ):
                total += part


def _write_question(
    network: Network,
    of: Heads,
    schema: Schema,
    encoded: Encoded,
    features: list[Tensor],
    answers: Answers,
    truths: pseudo_labels.PseudoLabels,
    into: Factors,
) -> None:
    own, fused = answers
    here = [None if network.rectified else p[:, None] for p in encoded.present.T]
    for column, name in enumerate(schema.names):
        residual = at_logits(schema.unimodal(name).kind, own[column], truths.unimodal[column])
        weight = of.linear_head(column).weight
        _write(into.unimodal[column], residual, weight, features[column], here[column])
    kind = schema.multimodal.kind
    if isinstance(of.fused, fusion.Additive) and not of.bounded:
        residual = at_logits(kind, fused, truths.multimodal)
        weights = of.fused.weight(network.lent_to(of)).split(network.widths, dim=1)
        for column, weight in enumerate(weights):
            _write(into.multimodal[column], residual, weight, features[column], here[column])
    else:
        found = _by_autograd(network, of, kind, encoded, truths.multimodal)
        for place, gradient in zip(into.multimodal, found, strict=True):
            place.copy_(gradient)


def _write(
    place: Tensor, residual: Tensor, weight: Tensor, features: Tensor, here: Tensor | None
) -> None:
    """Write residual @ weight where the ReLU is open: z > 0, which also excludes absent rows.

    Args:
        place: (B, D) the result.
        residual: (B, K) gradients at the logits.
        weight: (K, D) of the head.
        features: (B, D) z.
        here: (B, 1) 1 where the modality is present, where there is no ReLU; else None.
    """
    backward = torch.ops.aten.threshold_backward
    if here is not None:
        place.copy_((residual @ weight) * here)
    elif features.device.type == "cpu":  # straight into the result: memory traffic is the cost here
        torch.mm(residual, weight, out=place)
        backward.grad_input(place, features, 0, grad_input=place)
    else:
        place.copy_(backward(residual @ weight, features, 0))


def _by_autograd(
    network: Network, of: Heads, kind: TargetKind, encoded: Encoded, truth: Tensor
) -> list[Tensor]:
    leaves = [a.detach().requires_grad_() for a in encoded.activations]
    with torch.enable_grad():
        fused = network.multimodal_logits(network.features(leaves, encoded.present), of)
        loss = losses.per_sample(kind, fused, truth, None).sum()
        return list(torch.autograd.grad(loss, leaves))
