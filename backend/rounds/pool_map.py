"""The pool on a plane: where its tasks lie, and what is known of each; kept beside the ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from backend.labelstudio.votes import label_arrays
from backend.rounds.fetch import Fetched
from backend.store.rankings import numbers
from model.inputs import Inputs
from model.options import Preparation
from model.plane import plane
from model.schema import Target
from model.untrained import look_untrained
from strategies.pool import TargetKind

MOST = 10_000
_HEAD = 1000
"""Of the order's first tasks all are on the map."""
_CONTRIBUTION = "contribution:"


def pool_map(
    fetched: Fetched,
    tasks: Sequence[int],
    inputs: Inputs,
    preparation: Preparation,
    table: pa.Table,
) -> pa.Table | None:
    """Put at most `MOST` tasks on a plane; None where there are no vectors to do it with.

    Tasks whose prepared vectors are alike lie close together.

    Args:
        fetched: what Label Studio holds.
        tasks: N ids.
        inputs: prepared inputs of these tasks.
        preparation: names their encoders.
        table: the ranking of those that are not labelled.

    Returns:
        A table with task, x and y (in [0, 1]), label, predicted and probability (null where there
        is none), rank (null where it is not ranked) and decides (the modality that contributes
        most, null where that is not known).
    """
    ids = np.asarray(tasks, np.int64)
    ranked = numbers(table.column("task"))
    rows = _some(ids, ranked[:_HEAD])
    features = look_untrained(inputs.take(rows), fetched.config.schema, preparation).features
    if features is None or len(rows) < 2:
        return None
    at = plane(np.concatenate([np.asarray(values) for values in features.values()], axis=1))
    del features
    ids = ids[rows]
    place = {int(task): row for row, task in enumerate(ranked)}
    where = [place.get(int(task)) for task in ids]
    labels = _labels(fetched)
    columns: dict[str, Any] = {
        "task": ids,
        "x": at[:, 0],
        "y": at[:, 1],
        "label": [labels.get(int(task)) for task in ids],
        "rank": [None if row is None else row + 1 for row in where],
        "decides": _picked(_decides(table), where),
    }
    for name in ("predicted", "probability"):
        if name in table.column_names:
            columns[name] = _picked(table.column(name).to_pylist(), where)
    return pa.table(columns)


def _some(ids: np.ndarray[Any, Any], first: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the rows that are shown: all, or those that come first and others by chance.

    By id, so that in the next round the same tasks are chosen and lie at the same place.
    """
    by_id = np.argsort(ids)
    if len(ids) > MOST:
        chance = by_id[np.random.default_rng(0).permutation(len(ids))]
        soon = np.isin(ids[chance], first)
        by_id = np.concatenate([chance[soon], chance[~soon]])[:MOST]
        by_id = by_id[np.argsort(ids[by_id])]
    return by_id


def _picked(values: Sequence[Any] | None, where: Sequence[int | None]) -> list[Any]:
    return [None if row is None or values is None else values[row] for row in where]


def _decides(table: pa.Table) -> list[str] | None:
    names = [name for name in table.column_names if name.startswith(_CONTRIBUTION)]
    if not names:
        return None
    shares = np.stack([numbers(table.column(name)) for name in names], axis=1)
    return [names[most].removeprefix(_CONTRIBUTION) for most in shares.argmax(axis=1)]


def _labels(fetched: Fetched) -> dict[int, str | float]:
    """Return what labelled tasks say to the first question."""
    if not fetched.config.schema.targets:
        return {}
    question = fetched.config.schema.multimodal
    values = label_arrays(fetched.labelled, [question])[question.name]
    said = [_said(question, value) for value in values]
    found = zip(fetched.labelled, said, strict=True)
    return {item.task: label for item, label in found if label is not None}


def _said(question: Target, value: Any) -> str | float | None:
    if question.kind is TargetKind.REGRESSION:
        return None if np.isnan(value) else float(value)
    if question.kind is TargetKind.MULTILABEL:
        if np.isnan(value).any():
            return None
        return "|".join(c for c, p in zip(question.classes, value, strict=True) if p >= 0.5)
    return question.classes[int(value)] if value >= 0 else None
