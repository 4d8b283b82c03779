"""A strategy's order, steered: conditions, wanted classes, priority, near-duplicates once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backend.rounds.context import Run
from backend.rounds.fetch import Fetched
from model.arrays import Array
from strategies import Pool, Selection
from strategies.pool import BoolArray, FloatArray, IntArray
from strategies.steering import steered, twins, wanted

_TELL = 0.05
_LOOKED_AT, _MOST = 2, 4000
"""Near-duplicates are looked for among so many times the tasks that are published, and at most
among so many tasks: each is compared with each."""
_SHOWN = 5


@dataclass(frozen=True)
class Steered:
    """An order and what moved it.

    Attributes:
        selection: with the component `weight` where any differs from 1, and `meets` (0 or 1) where
            there are conditions.
        said: row of the pool -> what moved it.
    """

    selection: Selection
    said: Mapping[int, str]


def steer(
    run: Run, fetched: Fetched, pool: Pool, selection: Selection, outputs: Mapping[str, Array]
) -> Steered:
    """Apply conditions, `want`, `priority_key` and `once` to an order.

    Args:
        run: the round, whose options say what is wanted.
        fetched: has the tasks' data.
        pool: has the features that near-duplicates are found by.
        selection: the strategy's.
        outputs: question -> (N, K) probabilities; {} before there is a model.
    """
    weight = np.ones(pool.size)
    reasons: dict[int, list[str]] = {}
    for question in fetched.config.schema.questions:
        want = np.array([run.options.want.get(name, 1.0) for name in question.classes])
        if (want != 1).any() and question.name in outputs:
            p = outputs[question.name]
            weight *= wanted(p, want)
            _tell(p * (want - 1), p, question.classes, reasons)
    if run.options.priority_key is not None:
        weight *= _priority(run.options.priority_key, fetched, reasons)
    twin: BoolArray = np.zeros(pool.size, bool)
    if run.options.once and pool.features:
        twin = _twins(pool, selection.order, run, fetched)
    said = {
        row: f"counts {weight[row]:.2g} times: {', '.join(parts)}"
        for row, parts in reasons.items()
        if abs(weight[row] - 1) >= _TELL
    }
    for row in np.flatnonzero(twin).tolist():
        said[row] = "nearly the same as another task, which is served or labelled"
    meets = np.array([task not in fetched.outside for task in fetched.pool], np.float64)
    weight *= meets
    for row in np.flatnonzero(meets == 0).tolist():
        said[row] = f"put off: {fetched.outside[fetched.pool[row]]}"
    components = dict(selection.components)
    if run.options.only or run.options.newer_than:
        components["meets"] = meets
    if (weight != 1).any():
        components["weight"] = weight
    order = steered(selection.order, weight, twin)
    return Steered(replace(selection, order=order, components=components), said)


def _tell(
    gain: FloatArray, p: FloatArray, classes: tuple[str, ...], reasons: dict[int, list[str]]
) -> None:
    """Note for each row the class that moves it most."""
    most = np.abs(gain).argmax(axis=1)
    for row in np.flatnonzero(np.abs(gain).max(axis=1, initial=0) >= _TELL).tolist():
        how = "wanted" if gain[row, most[row]] > 0 else "wanted less"
        share = f"{p[row, most[row]]:.2f}".removeprefix("0")
        reasons.setdefault(row, []).append(f"{classes[most[row]]} is {how} ({share})")


def _priority(key: str, fetched: Fetched, reasons: dict[int, list[str]]) -> FloatArray:
    """Return (N,) the number under a key of each task's data; 1 where there is none."""
    found = np.ones(len(fetched.pool))
    for row, task in enumerate(fetched.tasks.of(fetched.pool)):
        number = _number(task["data"].get(key))
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


def _twins(pool: Pool, order: IntArray, run: Run, fetched: Fetched) -> BoolArray:
    """Return which rows (N,) of the pool are near-duplicates, and note some for people."""
    found = np.zeros(pool.size, bool)
    features, known = pool.features or {}, pool.labelled_features or {}
    head = order[: min(_LOOKED_AT * run.options.published, _MOST)]
    names = [name for name in pool.modalities if name in features]
    points = np.concatenate([np.asarray(features[name])[head] for name in names], axis=1)
    there = all(name in known for name in names)
    labelled = np.concatenate([known[name] for name in names], axis=1) if there else points[:0]
    found[head] = twins(points, labelled if there else None)
    of = [fetched.pool[row] for row in head] + [item.task for item in fetched.labelled]
    same = np.concatenate([points, labelled])
    rows = np.flatnonzero(found[head])
    run.work["twins"] = {
        "count": len(rows),
        "examples": [[of[row], of[_closest(same, row)]] for row in rows[:_SHOWN].tolist()],
    }
    return found


def _closest(points: FloatArray, row: int) -> int:
    """Return the other row whose direction is the most alike."""
    length = np.sqrt(np.square(points).sum(axis=1))
    alike = points @ points[row] / np.maximum(length, np.finfo(points.dtype).tiny)
    alike[row] = -np.inf
    return int(alike.argmax())
