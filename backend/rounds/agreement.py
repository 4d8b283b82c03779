"""The stopping hint of a project's own rounds: how much the newest model changed its mind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from backend.rounds.figures import main_figure, sentence
from backend.store import rankings as ranking
from backend.store.store import Store
from backend.store.tables import Kind, State
from model.schema import Schema, Target
from model.stopping import Step, compare, hint
from strategies.pool import TargetKind

AGREEMENT, CHANGED = "pool_agreement", "pool_changed"
LEAST_TASKS = 20
Array = np.ndarray[Any, Any]


def measure(store: Store, project: int, table: pa.Table, schema: Schema) -> dict[str, float]:
    """Compare a new ranking's predictions with the last trained round's, on tasks in both.

    Called before the new round is committed, and kept in its metrics, so that `status` reads no
    ranking.

    Returns:
        Metrics `pool_agreement` and `pool_changed`; {} when there is nothing to compare with.
    """
    trained = [r for r in store.rounds(project) if r.kind == Kind.TRAIN and r.state == State.DONE]
    target = schema.multimodal
    if not trained:
        return {}
    if not store.has_ranking(trained[-1]):
        return {}
    before, after = ranking.load(store.ranking(trained[-1])), table
    column = ranking.OUTPUT + target.name
    if column not in before.column_names or column not in after.column_names:
        return {}
    old = ranking.numbers(before.column("task"))
    new = ranking.numbers(after.column("task"))
    _, first, second = np.intersect1d(old, new, return_indices=True)
    if len(first) < LEAST_TASKS:
        return {}
    said = [_said(target, ranking.outputs_of(one)[target.name]) for one in (before, after)]
    if said[0].shape[1:] != said[1].shape[1:]:  # the classes changed meanwhile
        return {}
    spread = None if target.low is None or target.high is None else target.high - target.low
    agreement, changed = compare(target.kind, said[0][first], said[1][second], spread)
    return {AGREEMENT: round(agreement, 4), CHANGED: round(changed, 4)}


def _said(target: Target, outputs: Array) -> Array:
    """Return what is predicted: class indices, 0/1 per class, or numbers."""
    if target.kind is TargetKind.CLASSIFICATION:
        best: Array = outputs.argmax(axis=1)
        return best
    if target.kind is TargetKind.MULTILABEL:
        return (outputs >= 0.5).astype(np.int8)
    return outputs


def of_project(store: Store, project: int) -> dict[str, Any]:
    """Return the hint of a project: flattened, agreement, likely, most, text; {} if too early.

    Models that agree may all be wrong alike: nobody is told to stop before it is known how often
    they are right.
    """
    steps = [
        Step(found.labels, found.metrics[AGREEMENT], found.metrics[CHANGED])
        for found in store.rounds(project)
        if found.kind == Kind.TRAIN and found.state == State.DONE and AGREEMENT in found.metrics
    ]
    found = hint(steps)
    if found is None:
        return {}
    current = store.current(project)
    measured = current.measured if current is not None else {}
    known = main_figure(measured) is not None
    good = f"How good the model is: {sentence(measured)}."
    return {
        "flattened": found.flattened and known,
        "agreement": round(found.agreement, 4),
        "likely": round(found.likely, 4),
        "most": round(found.most, 4),
        "text": f"{found.text} {good}" if known or not found.flattened else good,
    }
