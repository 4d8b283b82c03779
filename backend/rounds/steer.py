"""A strategy's order, steered: conditions, wanted classes, priority, near-duplicates once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from backend.options import ProjectSettings
from backend.rounds.fetch import Fetched
from model.arrays import Array
from model.schema import Target
from strategies import Pool, Selection
from strategies.pool import BoolArray, FloatArray, IntArray
from strategies.steering import steered, twins, wanted

_TELL = 0.05
_LOOKED_AT, _MOST = 2, 4000
"""Near-duplicates are looked for among so many times the tasks that are published, and at most
among so many tasks: each is compared with each."""
_SHOWN = 5


@dataclass(frozen=True)
class Held:
    """What is known of the tasks beside their vectors.

    Attributes:
        pool: N ids.
        labelled: L ids.
        outside: task -> the condition that it does not meet.
        data: ids -> the data of each.
    """

    pool: Sequence[int]
    labelled: Sequence[int]
    outside: Mapping[int, str]
    data: Callable[[Sequence[int]], Iterable[Mapping[str, Any]]]

    @classmethod
    def of(cls, fetched: Fetched) -> Held:
        """Return it of a project's tasks."""
        labelled = [item.task for item in fetched.labelled]
        return cls(
            fetched.pool,
            labelled,
            fetched.outside,
            lambda ids: (task["data"] for task in fetched.tasks.of(ids)),
        )


@dataclass(frozen=True)
class Steered:
    """An order and what moved it.

    Attributes:
        selection: with the component `weight` where any differs from 1, and `meets` (0 or 1) where
            there are conditions.
        said: row of the pool -> what moved it.
        twins: `count` of near-duplicates and some `examples` (task and what it is like); {} where
            none were looked for.
    """

    selection: Selection
    said: Mapping[int, str]
    twins: Mapping[str, Any] = field(default_factory=dict)


def steer(
    options: ProjectSettings,
    held: Held,
    questions: Sequence[Target],
    pool: Pool,
    selection: Selection,
    outputs: Mapping[str, Array],
) -> Steered:
    """Apply conditions, `want`, `priority_key` and `once` to an order.

    Args:
        options: what is wanted.
        held: the tasks' ids and data.
        questions: about the whole task.
        pool: has the features that near-duplicates are found by.
        selection: the strategy's.
        outputs: question -> (N, K) probabilities; {} before there is a model.
    """
    weight = np.ones(pool.size)
    reasons: dict[int, list[str]] = {}
    for question in questions:
        want = np.array([options.want.get(name, 1.0) for name in question.classes])
        if (want != 1).any() and question.name in outputs:
            p = outputs[question.name]
            weight *= wanted(p, want)
            _tell(p * (want - 1), p, question.classes, reasons)
    if options.priority_key is not None:
        weight *= _priority(options.priority_key, held, reasons)
    twin: BoolArray = np.zeros(pool.size, bool)
    noted: Mapping[str, Any] = {}
    if options.once and pool.features:
        twin, noted = _twins(pool, selection.order, options.published, held)
    said = {
        row: f"counts {weight[row]:.2g} times: {', '.join(parts)}"
        for row, parts in reasons.items()
        if abs(weight[row] - 1) >= _TELL
    }
    for row in np.flatnonzero(twin).tolist():
        said[row] = "nearly the same as another task, which is served or labelled"
    meets = np.array([task not in held.outside for task in held.pool], np.float64)
    weight *= meets
    for row in np.flatnonzero(meets == 0).tolist():
        said[row] = f"put off: {held.outside[held.pool[row]]}"
    components = dict(selection.components)
    if options.only or options.newer_than:
        components["meets"] = meets
    if (weight != 1).any():
        components["weight"] = weight
    order = steered(selection.order, weight, twin)
    return Steered(replace(selection, order=order, components=components), said, noted)


def _tell(
    gain: FloatArray, p: FloatArray, classes: tuple[str, ...], reasons: dict[int, list[str]]
) -> None:
    """Note for each row the class that moves it most."""
    most = np.abs(gain).argmax(axis=1)
    for row in np.flatnonzero(np.abs(gain).max(axis=1, initial=0) >= _TELL).tolist():
        how = "wanted" if gain[row, most[row]] > 0 else "wanted less"
        share = f"{p[row, most[row]]:.2f}".removeprefix("0")
        reasons.setdefault(row, []).append(f"{classes[most[row]]} is {how} ({share})")


def _priority(key: str, held: Held, reasons: dict[int, list[str]]) -> FloatArray:
    """Return (N,) the number under a key of each task's data; 1 where there is none."""
    found = np.ones(len(held.pool))
    for row, data in enumerate(held.data(held.pool)):
        number = _number(data.get(key))
        if number is not None:
            found[row] = number
            reasons.setdefault(row, []).append(f"priority {number:g}")
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _twins(
    pool: Pool, order: IntArray, published: int, held: Held
) -> tuple[BoolArray, dict[str, Any]]:
    """Return which rows (N,) of the pool are near-duplicates, and some of them for people."""
    found = np.zeros(pool.size, bool)
    features, known = pool.features or {}, pool.labelled_features or {}
    head = order[: min(_LOOKED_AT * published, _MOST)]
    names = [name for name in pool.modalities if name in features]
    points = np.concatenate([np.asarray(features[name])[head] for name in names], axis=1)
    there = all(name in known for name in names)
    labelled = np.concatenate([known[name] for name in names], axis=1) if there else points[:0]
    found[head] = twins(points, labelled if there else None)
    of = [held.pool[row] for row in head] + list(held.labelled)
    same = np.concatenate([points, labelled])
    rows = np.flatnonzero(found[head])
    examples = [[of[row], of[_closest(same, row)]] for row in rows[:_SHOWN].tolist()]
    return found, {"count": len(rows), "examples": examples}


def _closest(points: FloatArray, row: int) -> int:
    """Return the other row whose direction is the most alike."""
    length = np.sqrt(np.square(points).sum(axis=1))
    alike = points @ points[row] / np.maximum(length, np.finfo(points.dtype).tiny)
    alike[row] = -np.inf
    return int(alike.argmax())
