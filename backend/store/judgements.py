"""What models say of labels that they had not seen, as one table beside the round's checkpoint.

It says which predictions may be accepted, and which labels should be looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from backend.store import rankings
from backend.store.store import Store
from backend.store.tables import Round
from model import labels as labelling
from model.arrays import Array
from model.reviewing import review
from model.schema import Target
from strategies.pool import BoolArray, IntArray, TargetKind

NAME = "judgements.parquet"
_TYPES = {
    "task": pa.int64(),
    "question": pa.string(),
    "given": pa.string(),
    "likely": pa.string(),
    "probability": pa.float64(),
    "hit": pa.bool_(),
    "quality": pa.float64(),
    "suspect": pa.bool_(),
    "audit": pa.bool_(),
}


def rows_of(
    target: Target, tasks: Sequence[int], truth: Array, predicted: Array, rows: IntArray
) -> dict[str, Array]:
    """Return the columns of one question: what is given, and what is likely.

    Args:
        target: the question.
        tasks: (n,) ids of the labelled tasks.
        truth: (n,) or (n, K) their labels, as in `Labels`.
        predicted: (r, K) probabilities or (r,) numbers, by models that had not seen them.
        rows: (r,) of which of the tasks.
    """
    known = labelling.known(target, truth[rows])
    rows, predicted = rows[known], np.asarray(predicted)[known]
    given = truth[rows]
    quality, suspect = review(target, given, predicted)
    if target.kind is TargetKind.REGRESSION:
        names = [f"{value:g}" for value in given], [f"{value:.4g}" for value in predicted]
        probability, hit = np.full(len(rows), np.nan), np.full(len(rows), True)
    elif target.kind is TargetKind.MULTILABEL:
        sets = given >= 0.5, predicted >= 0.5
        names = _sets(target, sets[0]), _sets(target, sets[1])
        probability = np.maximum(predicted, 1 - predicted).min(axis=1, initial=1)
        hit = (sets[0] == sets[1]).all(axis=1)
    else:
        answers = labelling.hard(given), predicted.argmax(axis=1)
        names = [target.classes[i] for i in answers[0]], [target.classes[i] for i in answers[1]]
        probability, hit = predicted.max(axis=1, initial=0), answers[0] == answers[1]
    return {
        "task": np.asarray(tasks, np.int64)[rows],
        "question": np.full(len(rows), target.name),
        "given": np.asarray(names[0], object),
        "likely": np.asarray(names[1], object),
        "probability": np.asarray(probability, np.float64),
        "hit": np.asarray(hit, bool),
        "quality": quality,
        "suspect": suspect,
    }


def _sets(target: Target, chosen: BoolArray) -> list[str]:
    """Return sets of labels as rankings write them."""
    return ["|".join(c for c, on in zip(target.classes, row, strict=True) if on) for row in chosen]


def save(columns: Mapping[str, Array], store: Store, found: Round) -> None:
    """Write a round's judgements, columns of `rows_of` and `audit`, beside its checkpoint."""
    table = pa.table({name: pa.array(list(columns[name]), kind) for name, kind in _TYPES.items()})
    rankings.save(table, store.path(found.folder) / NAME)


def path(store: Store, checkpoint: str) -> Path | None:
    """Return where the judgements beside a checkpoint are; None where there are none."""
    if not checkpoint:
        return None
    found = store.artifacts.bring(f"{Path(checkpoint).parent}/{NAME}")
    return found if found.is_file() else None


def load(store: Store, checkpoint: str) -> pa.Table | None:
    """Read the judgements beside a checkpoint; None where there are none."""
    found = path(store, checkpoint)
    return None if found is None else rankings.load(found)
