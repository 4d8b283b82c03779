"""What each coalition of modalities says by itself (BMMAL section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model import labels as labelling
from model.arrays import Array
from model.fusion import Fusion, membership, subsets
from model.inputs import Inputs
from model.model import Model
from strategies.pool import TargetKind
from strategies.shapley import contributions


def coalition_values(
    model: Model,
    joined: Sequence[Tensor],
    probabilities: Tensor,
    classes: Tensor | None = None,
    fused: Fusion | None = None,
    question: int = 0,
) -> Tensor:
    """Return (B, 2^M) probabilities of one class per sample (BMMAL Eq. 10).

    Args:
        model: the model.
        joined: what its fusion reads.
        probabilities: (B, K) of the full prediction, whose most probable class is the pseudo-class.
        classes: (B,) other classes to read, e.g. the true ones.
        fused: another fused head than the model's.
        question: which one is answered.
    """
    network, target = model.network, model.schema.questions[question]
    of = network.questions[question]
    members = membership(model.schema.names).to(probabilities)
    logits = (fused or of.fused).coalitions(joined, members, network.lent_to(of)).float()
    if target.kind is TargetKind.MULTILABEL:
        guess = (probabilities >= 0.5).float()
        p = logits.sigmoid()
        return (guess * p + (1 - guess) * (1 - p)).mean(dim=2).T
    guess = probabilities.argmax(dim=1) if classes is None else classes
    place = guess[None, :, None].expand(len(logits), -1, 1)
    # Only one class is read: its logit less the log-normaliser, not a softmax over all classes.
    return (logits.gather(2, place)[..., 0] - logits.logsumexp(dim=2)).exp().T


def mean_coalition_values(
    model: Model, joined: Sequence[Tensor], probabilities: Sequence[Tensor]
) -> Tensor:
    """Return (B, 2^M) means over the questions with classes of `coalition_values`."""
    found = [
        coalition_values(model, joined, p, question=place)
        for place, (question, p) in enumerate(
            zip(model.schema.questions, probabilities, strict=True)
        )
        if question.kind is not TargetKind.REGRESSION
    ]
    return found[0] if len(found) == 1 else torch.stack(found).mean(dim=0)


@torch.no_grad()
def coalitions_of(model: Model, inputs: Inputs, truth: Array, fused: Fusion) -> Array:
    """Return (N, 2^M) probabilities that a fused head's coalitions give the true classes.

    Of the first question; a fused head of another one is not meant.
    """
    target, network = model.schema.multimodal, model.network
    classes = torch.from_numpy(labelling.hard(truth)).to(model.device)
    parts = []
    for rows, batch in model.stream(inputs):
        encoded = network.encode(batch)
        features = network.features(encoded.activations, encoded.present)
        joined = network.joined(encoded, features)
        probabilities = model.activate(target, network.bound(fused(joined, network.lent)))
        values = coalition_values(model, joined, probabilities, classes[rows], fused)
        parts.append(values.cpu().numpy())
    return np.concatenate(parts)


def mean_contributions(values: Array, names: Sequence[str]) -> dict[str, float]:
    """Return each modality's mean contribution to the true class's probability.

    Note: as in BMMAL's figures 2 and 3; while ranking, the pseudo-class takes the true one's place.
    """
    share = contributions({group: values[:, i] for i, group in enumerate(subsets(names))}, names)
    means = share.mean(axis=0)
    return {f"contribution:{name}": float(m) for name, m in zip(names, means, strict=True)}
