"""GRACE's gradients at the last layers' pre-activations, for all samples at once (section 3.2).

A sample's pre-activations only enter its own loss, so one batched backward pass serves all samples.
Heads are linear, so that pass is written out: the gradient at the logits, times the head's weight,
where the ReLU is open (networks on prepared vectors have none). Fusions that are no single linear
layer are left to autograd.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model import fusion, losses, pseudo_labels
from model.model import Model
from model.network import Encoded
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
    fused: Tensor,
    into: Factors,
    rule: str,
    passes: int,
) -> None:
    """Write d_k = dL_k/da_k and d_mk = dL_m/da_k for pre-activations a_k, (B, D_k) each.

    The losses are unweighted and the labels pseudo-labels; rows of absent modalities are zero.

    Args:
        model: a model whose network has last layers.
        encoded: what its encoders gave.
        features: (B, D_k) z_k of them.
        fused: (B, K) multimodal logits of those.
        into: where the result goes.
        rule: pseudo-label rule for regression.
        passes: stochastic passes of the rule `mc_mean`.
    """
    network, schema = model.network, model.schema
    own = network.unimodal_logits(features)
    here = [None if network.rectified else p[:, None] for p in encoded.present.T]
    truths = pseudo_labels.labels(model, encoded, own, fused, rule, passes)
    for column, name in enumerate(schema.names):
        residual = at_logits(schema.unimodal(name).kind, own[column], truths.unimodal[column])
        weight = network.linear_head(column).weight
        _write(into.unimodal[column], residual, weight, features[column], here[column])
    if isinstance(network.fused, fusion.Additive) and not network.bounded:
        residual = at_logits(schema.multimodal.kind, fused, truths.multimodal)
        for column, weight in enumerate(
            network.fused.weight(network.lent).split(network.widths, dim=1)
        ):
            _write(into.multimodal[column], residual, weight, features[column], here[column])
    else:
        found = _by_autograd(model, encoded, truths.multimodal)
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


def _by_autograd(model: Model, encoded: Encoded, truth: Tensor) -> list[Tensor]:
    network = model.network
    leaves = [a.detach().requires_grad_() for a in encoded.activations]
    with torch.enable_grad():
        fused = network.multimodal_logits(network.features(leaves, encoded.present))
        loss = losses.per_sample(model.schema.multimodal.kind, fused, truth, None).sum()
        return list(torch.autograd.grad(loss, leaves))
