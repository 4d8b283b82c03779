"""Pools to rank, and slow, obvious versions of what strategies compute on them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from strategies import HeldOut, LayerGradients, LinearHead, Pool, TargetKind

WIDTHS = {"image": 7, "text": 4, "audio": 3}


def make_pool(
    size: int = 40,
    *,
    classes: int = 5,
    modalities: Sequence[str] = ("image", "text"),
    target: TargetKind = TargetKind.CLASSIFICATION,
    labelled: int = 6,
    dtype: Any = np.float64,
    absent: Sequence[tuple[int, str]] = (),
    copies: int = 1,
    seed: int = 0,
    **changes: Any,
) -> Pool:
    """Make a pool that has everything, of random arrays.

    Args:
        size: N.
        classes: K (1 for regression).
        modalities: names among WIDTHS.
        target: kind of target.
        labelled: number of labelled tasks' features.
        dtype: of every float array.
        absent: (row, modality) pairs that are missing.
        copies: each distinct task occurs this many times.
        seed: of the random arrays.
        changes: fields of Pool to set otherwise.
    """
    rng = np.random.default_rng(seed)
    distinct = -(-size // copies)

    def rows(*shape: int, axis: int = 0, make: Any = rng.standard_normal) -> np.ndarray:
        values = np.repeat(make(shape), copies, axis=axis)
        return np.take(values, np.arange(size), axis=axis).astype(dtype)

    def answers(logits: np.ndarray) -> np.ndarray:
        if target is TargetKind.REGRESSION:
            return logits[..., :1]
        if target is TargetKind.MULTILABEL:
            return 1 / (1 + np.exp(-logits))
        return softmax(logits)

    present = np.ones((size, len(modalities)), dtype=bool)
    for row, modality in absent:
        present[row, list(modalities).index(modality)] = False
    here = dict(zip(modalities, present.T[:, :, None], strict=True))
    features = {name: rows(distinct, WIDTHS[name]) * here[name] for name in modalities}
    outcomes = {
        coalition: np.repeat(rng.random(distinct), copies)[:size].astype(dtype)
        for coalition in every_subset(modalities)
    }
    for column, name in enumerate(modalities):
        for coalition in outcomes:
            if name in coalition:
                gone = ~present[:, column]
                outcomes[coalition][gone] = outcomes[coalition - {name}][gone]
    gradients = {
        name: LayerGradients(
            np.abs(rows(distinct, 6)) * here[name],
            rows(distinct, 3) * here[name],
            rows(distinct, 3) * here[name],
        )
        for name in modalities
    }
    width = sum(WIDTHS[name] for name in modalities)
    fields: dict[str, Any] = {
        "size": size,
        "modalities": tuple(modalities),
        "target": target,
        "probabilities": answers(rows(distinct, classes).astype(np.float64)).astype(dtype),
        "features": {name: values.astype(dtype) for name, values in features.items()},
        "present": present,
        "coalitions": outcomes,
        "gradients": gradients,
        "mc_probabilities": answers(rows(4, distinct, classes, axis=1).astype(np.float64)).astype(
            dtype
        ),
        "labelled_features": {
            name: rng.standard_normal((labelled, WIDTHS[name])).astype(dtype) for name in modalities
        },
        "held_out": HeldOut(
            answers(rng.standard_normal((labelled, classes))).astype(dtype),
            rng.integers(0, 2, (labelled, classes))
            if target is TargetKind.MULTILABEL
            else rng.integers(0, classes, labelled),
        ),
        "linear_head": LinearHead(
            rng.standard_normal((classes, width)).astype(dtype), rows(distinct, classes)
        ),
    }
    return Pool(**{**fields, **changes})


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def every_subset(names: Sequence[str]) -> list[frozenset[str]]:
    """All subsets, smallest first."""
    return [frozenset(c) for r in range(len(names) + 1) for c in combinations(names, r)]


def concatenated(pool: Pool) -> np.ndarray:
    """(N, D) features side by side."""
    return np.hstack([pool.features[name].astype(np.float64) for name in pool.modalities])


def residual(pool: Pool) -> np.ndarray:
    """(N, K) p - pseudo-label, row by row."""
    rows = []
    for p in pool.probabilities.astype(np.float64):
        label = np.zeros(len(p))
        if pool.target is TargetKind.MULTILABEL:
            label[p >= 0.5] = 1
        else:
            label[np.argmax(p)] = 1
        rows.append(p - label)
    return np.array(rows)


def materialised(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(N, K D) outer products written out."""
    return np.array([np.outer(a, z).ravel() for a, z in zip(left, right, strict=True)])


def squared_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, m) squared distances by differences."""
    return ((one[:, None, :] - other[None, :, :]) ** 2).sum(axis=2)


def sequential_law(
    points: np.ndarray, n: int, weights: np.ndarray | None = None, *, origin: bool = False
) -> dict[tuple[int, ...], float]:
    """Enumerate the law of sequential k-means++: ordered rows -> probability.

    The first row is the one of the largest norm. With `origin` the origin counts as a centre.
    """
    weights = np.ones(len(points)) if weights is None else weights
    norms = (points**2).sum(axis=1)
    first = int(np.argmax(np.where(weights > 0, norms, -1)))
    between = squared_distances(points, points)
    start = np.minimum(norms, between[first]) if origin else between[first]
    law: dict[tuple[int, ...], float] = {}

    def walk(chosen: tuple[int, ...], nearest: np.ndarray, probability: float) -> None:
        if len(chosen) == n:
            law[chosen] = law.get(chosen, 0.0) + probability
            return
        share = nearest * weights / (nearest * weights).sum()
        for row in np.flatnonzero(share):
            row = int(row)
            after = np.minimum(nearest, between[row])
            walk((*chosen, row), after, probability * share[row])

    walk((first,), start, 1.0)
    return law
