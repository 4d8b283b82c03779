"""The learner on scaled vectors: every choice is made out-of-fold, then all labels are used.

0. Classes are weighed towards their inverse frequency, unless that surely costs accuracy.
1. Each modality has a head on all of its views and one on each of them alone; the modality's own
   head is the sum of their logits, weighted (`stacking`).
2. The joint head sees all modalities at once.
3. The fused head is the weighted sum of the joint head and the modalities' own heads.

A sum of linear heads is one linear head, so this costs nothing afterwards. Each is fitted once per
fold, without the fold, and once on all labels: the members, and the network that serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from model import labels as labelling
from model.arrays import Array
from model.schema import Schema, Target
from model.vectors.folds import Folds
from model.vectors.heads import Head, fit_head
from model.vectors.solver import Linear
from model.vectors.stacking import stack
from strategies.pool import BoolArray, TargetKind

BALANCE = 0.75
"""Power of the inverse frequency that is tried. Measured on tweets of three unlike classes, 100 to
800 labels: accuracy over classes rises by .04 to .05, over tasks it falls by .01 at most."""


@dataclass(frozen=True)
class Vectors:
    """Scaled vectors of n labelled samples, one entry per modality.

    Attributes:
        values: (n, D_m), zero rows where absent; mean square length on the pool is 1.
        views: columns of each view.
        present: (n, M).
    """

    values: Sequence[Tensor]
    views: Sequence[Sequence[slice]]
    present: BoolArray


@dataclass(frozen=True)
class Learnt:
    """What was learnt.

    Attributes:
        heads: each modality's own head.
        fused: the fused head, on all vectors side by side.
        balance: power of the classes' inverse frequency that weighed them.
    """

    heads: list[Head]
    fused: Head
    balance: float


@dataclass(frozen=True)
class _Question:
    """One target as the solver reads it.

    Attributes:
        kind: decides the loss.
        truth: (n, K), zeros where unknown.
        known: (n,).
        weight: (n,) how much a sample counts while heads are fitted; members measure it as one.
    """

    kind: TargetKind
    truth: Tensor
    known: BoolArray
    weight: Tensor

    def among(self, rows: BoolArray) -> _Question:
        """Return the question as asked of some samples only."""
        return replace(self, known=self.known & rows)


def learn(
    schema: Schema,
    vectors: Vectors,
    truth: Mapping[str, Array],
    folds: Folds,
    *,
    class_weights: bool = False,
) -> Learnt:
    """Learn all heads.

    Args:
        schema: modalities and targets.
        vectors: of the labelled samples.
        truth: as in `Labels`, numbers in half ranges around the midpoint.
        folds: of the samples.
        class_weights: weigh classes by their inverse frequency, whatever it costs.
    """
    joined = torch.cat(list(vectors.values), dim=1)
    balance = 1.0 if class_weights else 0.0
    whole = _question(schema.multimodal, truth, balance)
    joint = _fit(whole, joined, slice(None), folds)
    if not class_weights and folds.count and whole.kind is TargetKind.CLASSIFICATION:
        weighed = _question(schema.multimodal, truth, BALANCE)
        other = _fit(weighed, joined, slice(None), folds)
        if not _surely_worse(whole, other, joint):
            balance, whole, joint = BALANCE, weighed, other
    heads, experts = [], []
    for column, (name, x) in enumerate(zip(schema.names, vectors.values, strict=True)):
        here, views = vectors.present[:, column], vectors.views[column]
        own = schema.unimodal(name)
        heads.append(_of_views(_question(own, truth, balance).among(here), x, views, folds))
        same = own is schema.multimodal
        experts.append(heads[-1] if same else _of_views(whole.among(here), x, views, folds))
    if len(experts) == 1 and vectors.present.all():
        return Learnt(heads, experts[0], balance)
    return Learnt(heads, _fused(whole, joint, vectors.values, experts, folds), balance)


def _surely_worse(question: _Question, head: Head, than: Head) -> bool:
    """Tell whether a head is right less often, by more than a standard error, out-of-fold."""
    known = torch.from_numpy(question.known)
    answer = question.truth[known].argmax(dim=1)
    hits = [(each.logits[known].argmax(dim=1) == answer).float() for each in (than, head)]
    gap = hits[0] - hits[1]
    return float(gap.mean()) > float(gap.std(correction=0)) / len(gap) ** 0.5


def _question(target: Target, truth: Mapping[str, Array], balance: float) -> _Question:
    values = truth[target.name]
    known = labelling.known(target, values)
    filled, even = torch.from_numpy(np.nan_to_num(values)), torch.ones(len(values))
    if target.kind is TargetKind.REGRESSION:
        return _Question(target.kind, filled.float()[:, None], known, even)
    if filled.ndim == 1:
        filled = torch.nn.functional.one_hot(filled.clamp(min=0), len(target.classes))
    filled = filled.float()
    if balance and target.kind is TargetKind.CLASSIFICATION:
        counts = filled[known].sum(dim=0).clamp(min=1)
        even = filled @ counts.pow(-balance)
        even = even / even[known].mean()
    return _Question(target.kind, filled, known, even)


def _of_views(question: _Question, x: Tensor, views: Sequence[slice], folds: Folds) -> Head:
    """Return a modality's head, never much worse than the one of its best view."""
    heads = [_fit(question, x, slice(None), folds)]
    if len(views) > 1 and folds.count:
        heads += [_fit(question, x, view, folds) for view in views]
    return _joined(question, heads, folds)


def _fused(
    question: _Question,
    joint: Head,
    values: Sequence[Tensor],
    experts: Sequence[Head],
    folds: Folds,
) -> Head:
    """Return the fused head, never much worse than the best modality's."""
    heads, start = [joint], 0
    for x, expert in zip(values, experts, strict=True):
        place = slice(start, start + x.shape[1])
        heads.append(_placed(expert, place, joint.linear.weight.shape[1]))
        start += x.shape[1]
    return _joined(question, heads, folds)


def _fit(question: _Question, x: Tensor, columns: slice, folds: Folds) -> Head:
    """Fit a head on some columns, whose mean square length is made 1 as that of all is."""
    part = x[:, columns]
    here = part.square().sum(dim=1).mean().sqrt()
    factor = float(x.square().sum(dim=1).mean().sqrt() / here) if here > 0 else 1.0
    head = fit_head(
        question.kind, part * factor, question.truth, question.known, folds, question.weight
    )
    linear = Linear(head.linear.weight * factor, head.linear.bias)
    return _placed(replace(head, linear=linear), columns, x.shape[1])


def _placed(head: Head, columns: slice, width: int) -> Head:
    """Return the head as one on wider vectors, with the weight 0 for the other columns."""
    problems, _, outputs = head.linear.weight.shape
    weight = head.linear.weight.new_zeros(problems, width, outputs)
    weight[:, columns] = head.linear.weight
    return replace(head, linear=Linear(weight, head.linear.bias))


def _joined(question: _Question, heads: Sequence[Head], folds: Folds) -> Head:
    """Return the weighted sum of heads on the same vectors, members with members.

    Note: near the first head alone where few labels say otherwise.
    """
    logits = torch.stack([head.logits for head in heads])
    shares = stack(question.kind, logits, question.truth, question.known, folds)  # (count + 1, J)
    weight = torch.einsum("pj,jpdk->pdk", shares, torch.stack([h.linear.weight for h in heads]))
    bias = torch.einsum("pj,jpk->pk", shares, torch.stack([h.linear.bias for h in heads]))
    own = folds.own(torch.einsum("pj,jnk->pnk", shares, logits))
    return Head(Linear(weight, bias), own, heads[0].penalty)
