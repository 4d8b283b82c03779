"""Why a task is where it is, in one sentence made of its own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from model.arrays import Array
from model.schema import Target
from strategies import Pool, TargetKind
from strategies.pool import BoolArray, FloatArray, IntArray

_CLOSE = 0.2
"""Gap between the two likeliest classes below which the model is called unsure."""
_FAR = 0.9
_REFERENCE = 1000
_LONGEST = 60


@dataclass(frozen=True)
class Alone:
    """What each modality says of some of the pool's tasks.

    Attributes:
        rows: (h,) rows of the pool.
        said: modality -> (h, K) probabilities or (h,) numbers.
        present: (h, M) columns in the order of `said`.
    """

    rows: IntArray
    said: Mapping[str, Array]
    present: BoolArray


def sentences(
    target: Target,
    outputs: Array,
    drawn: IntArray,
    alone: Alone,
    far: Array,
    moved: Mapping[int, str] = MappingProxyType({}),
) -> list[str]:
    """Say why, for each of N tasks.

    Args:
        target: the question.
        outputs: (N, K) probabilities or (N,) numbers.
        drawn: rows that chance chose.
        alone: what modalities say by themselves, where that was asked.
        far: (h,) of the same rows, as `novelty` gives it.
        moved: row -> what moved it to another place than the strategy's.
    """
    chance = set(drawn.tolist())
    places = {int(row): place for place, row in enumerate(alone.rows)}
    said = _by_model(target, outputs)
    found = []
    for row in range(len(outputs)):
        reasons = ["drawn by chance, to measure how often the model is right"] * (row in chance)
        place = places.get(row)
        apart = "" if place is None else _disagree(target, alone, place, outputs[row])
        reasons.append(apart or said[row])
        if place is not None and far[place] >= _FAR:
            reasons.append(f"unlike what is labelled: farther off than {far[place]:.0%} of it")
        if row in moved:
            reasons.append(moved[row])
        found.append(_sentence(reasons))
    return found


def without_model(
    size: int,
    batch: IntArray,
    drawn: IntArray,
    covering: bool,
    moved: Mapping[int, str] = MappingProxyType({}),
) -> list[str]:
    """Say why, for each of N tasks of which no model says anything yet."""
    first = "covers a part of the pool that the tasks before it do not" if covering else _BLIND
    later = "what comes before it covers the pool already" if covering else _BLIND
    chance = "drawn by chance, to measure how often the model will be right"
    reasons = [later] * size
    for row in batch.tolist():
        reasons[row] = first
    for row in drawn.tolist():
        reasons[row] = chance
    return [
        _sentence([reason, *([moved[row]] if row in moved else [])])
        for row, reason in enumerate(reasons)
    ]


_BLIND = "drawn by chance: nothing is known of the tasks yet"


def novelty(pool: Pool, rows: IntArray) -> FloatArray:
    """Return (h,) which share of the labelled tasks is closer to its next labelled one.

    0 where nothing can be compared.
    """
    known = pool.labelled_features
    count = len(next(iter(known.values()))) if known else 0
    if pool.features is None or known is None or count < 20:
        return np.zeros(len(rows))
    names = [name for name in pool.modalities if name in known]
    here = np.concatenate([pool.features[name][rows] for name in names], axis=1)
    there = np.concatenate([known[name] for name in names], axis=1)
    some = np.random.default_rng(0).permutation(count)[:_REFERENCE]
    centre = there.mean(axis=0, dtype=np.float64)  # distances far from zero would drown in it
    labelled, ours = torch.from_numpy(there - centre), torch.from_numpy(here - centre)
    own = torch.cdist(labelled[some], labelled)
    own[np.arange(len(some)), some] = torch.inf
    usual = own.amin(dim=1).numpy()
    closest = torch.cdist(ours, labelled).amin(dim=1).numpy()
    return np.asarray(np.searchsorted(np.sort(usual), closest) / len(some))


def _by_model(target: Target, outputs: Array) -> list[str]:
    """Say what the model says of each of N tasks."""
    if target.kind is TargetKind.REGRESSION:
        return [f"the model says {float(value):.3g}" for value in outputs]
    if target.kind is TargetKind.MULTILABEL:
        return [_by_model_of_several(target, values) for values in outputs]
    rows, names = np.arange(len(outputs)), [_short(name) for name in target.classes]
    first = outputs.argmax(axis=1)
    highest = [f"{names[i]} ({_p(p)})" for i, p in zip(first, outputs[rows, first], strict=True)]
    said = [f"the model says {one}" for one in highest]
    if len(names) < 2:
        return said
    others = outputs.copy()
    others[rows, first] = -np.inf
    second = others.argmax(axis=1)
    for row in np.flatnonzero(outputs[rows, first] - others[rows, second] < _CLOSE):
        next_one = f"{names[second[row]]} ({_p(others[row, second[row]])})"
        said[row] = f"unsure between {highest[row]} and {next_one}"
    return said


def _by_model_of_several(target: Target, values: Array) -> str:
    gap = np.abs(values - 0.5)
    close = [i for i in np.argsort(gap)[:2] if gap[i] < _CLOSE / 2]
    if close:
        return f"unsure about {' and '.join(_with(target, values, i) for i in close)}"
    return f"the model says {_set(target, values)}"


def _disagree(target: Target, alone: Alone, place: int, together: Any) -> str:
    """Say what modalities say where they do not say the same, and all together; else ""."""
    here = [
        (name, values[place])
        for column, (name, values) in enumerate(alone.said.items())
        if alone.present[place, column]
    ]
    if len(here) < 2:
        return ""
    if target.kind is TargetKind.REGRESSION:
        numbers = [float(value) for _, value in here]
        low = target.low if target.low is not None else min(numbers)
        high = target.high if target.high is not None else max(numbers)
        if target.low is None or max(numbers) - min(numbers) <= (high - low) / 4:
            return ""
        answers = [f"{value:.3g}" for value in [*numbers, float(together)]]
    elif target.kind is TargetKind.MULTILABEL:
        answers = [_set(target, values) for _, values in here]
        if len(set(answers)) < 2:
            return ""
        answers.append(_set(target, together))
    else:
        everything = [*(values for _, values in here), together]
        tops = [int(values.argmax()) for values in everything]
        if len(set(tops[:-1])) < 2:
            return ""
        answers = [_with(target, v, i) for v, i in zip(everything, tops, strict=True)]
    alone_said = [f"{name} says {said}" for (name, _), said in zip(here, answers, strict=False)]
    return ", ".join([*alone_said, f"together {answers[-1]}"])


def _set(target: Target, values: Array) -> str:
    chosen = [_short(c) for c, p in zip(target.classes, values, strict=True) if p >= 0.5]
    return " and ".join(chosen) or "none of them"


def _with(target: Target, values: Array, index: int) -> str:
    return f"{_short(target.classes[index])} ({_p(values[index])})"


def _p(probability: float) -> str:
    return f"{probability:.2f}".removeprefix("0")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _sentence(reasons: Sequence[str]) -> str:
    text = "; ".join(reasons)
    return f"{text[:1].upper()}{text[1:]}."
