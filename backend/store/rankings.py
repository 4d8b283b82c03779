"""A round's ranking as one Arrow table: what is exported, published and served."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.schema import Schema, Target
from strategies import Pool, Selection
from strategies.pool import TargetKind

OUTPUT = "output:"
Array = np.ndarray[Any, Any]


def build(
    tasks: Sequence[int],
    pool: Pool,
    selection: Selection,
    outputs: Mapping[str, Array],
    schema: Schema,
    facts: Mapping[str, str | int],
    *,
    drawn: Array | None = None,
    why: Sequence[str] | None = None,
) -> pa.Table:
    """Put a selection into a table, most valuable task first.

    Args:
        tasks: (N,) task ids in the pool's row order.
        pool: the pool that was ranked.
        selection: its ranking.
        outputs: target name -> (N, K) probabilities or (N,) values.
        schema: classes of the targets.
        facts: constant columns (strategy, round, model_version).
        drawn: rows of the pool that chance chose, to measure on; None: none.
        why: (N,) a sentence for each row of the pool; None: "".

    Returns:
        A table with task, rank (from 1), queue_score (position in [0, 1], lower = first),
        priority (1 - queue_score), score (the strategy's own), audit (whether chance chose it), why
        (a sentence), what is predicted, the components that explain the position, and
        `output:<target>` columns.
    """
    order = selection.order
    count = len(order)
    queue = np.arange(count) / max(count - 1, 1)
    columns: dict[str, Any] = {
        "task": np.asarray(tasks, dtype=np.int64)[order],
        "rank": np.arange(1, count + 1),
        "priority": 1.0 - queue,
        "queue_score": queue,
        "score": np.asarray(selection.scores, dtype=np.float64)[order],
        "audit": np.isin(order, [] if drawn is None else drawn),
        "why": ["" if why is None else why[row] for row in order],
        **_predicted(outputs, schema, order),
    }
    for name, values in selection.components.items():
        columns[name] = np.asarray(values, dtype=np.float32)[order]
    if pool.present is not None:
        for column, name in enumerate(pool.modalities):
            columns[f"present:{name}"] = np.asarray(pool.present)[order, column]
    for name, values in outputs.items():
        matrix = np.asarray(values, dtype=np.float32)[order]
        columns[OUTPUT + name] = _rows(matrix) if matrix.ndim == 2 else matrix
    for name, fact in facts.items():
        columns[name] = [fact] * count
    return pa.table(columns)


def _rows(matrix: Array) -> pa.Array:
    """Return a matrix as a column of lists, which read back as a matrix without a copy by row."""
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])


def _predicted(outputs: Mapping[str, Array], schema: Schema, order: Array) -> dict[str, Any]:
    """Return what is predicted and how surely: plain of the first question, @NAME of the others."""
    found = {}
    for place, question in enumerate(schema.questions if outputs else ()):
        if question.name in outputs:  # else it waits for labels
            values = np.asarray(outputs[question.name])[order]
            named = "" if place == 0 else f"@{question.name}"
            found.update({f"{k}{named}": v for k, v in _answer(question, values).items()})
    return found


def _answer(question: Target, values: Array) -> dict[str, Any]:
    if question.kind is TargetKind.REGRESSION:
        return {"predicted": values.reshape(len(values)).astype(np.float64)}
    if question.kind is TargetKind.MULTILABEL:
        names = [
            "|".join(c for c, p in zip(question.classes, row, strict=True) if p >= 0.5)
            for row in values
        ]
        sure = np.maximum(values, 1 - values).min(axis=1) if len(values) else np.zeros(0)
        return {"predicted": names, "probability": sure.astype(np.float64)}
    best = values.argmax(axis=1) if len(values) else np.zeros(0, dtype=int)
    return {
        "predicted": [question.classes[i] for i in best],
        "probability": values.max(axis=1, initial=0).astype(np.float64),
    }


def outputs_of(table: pa.Table) -> dict[str, Array]:
    """Return target name -> (N, K) or (N,) outputs in the table's row order."""
    found = {}
    for name in table.column_names:
        if name.startswith(OUTPUT):
            column = table.column(name).combine_chunks()
            nested = not pa.types.is_floating(column.type)
            values = numbers(column.flatten() if nested else column)
            shape = (len(column), -1) if nested and len(column) else (len(column),)
            found[name[len(OUTPUT) :]] = values.astype(np.float32, copy=False).reshape(shape)
    return found


def numbers(column: pa.Array | pa.ChunkedArray) -> Array:
    """Return a column of numbers or truths as an array, without `to_numpy`, which loads pandas."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_boolean(whole.type):
        return np.from_dlpack(whole.cast(pa.uint8())).astype(bool)
    return np.from_dlpack(whole)


def save(table: pa.Table, path: Path) -> None:
    """Write a ranking beside its place and rename it, so that no half file is ever seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".writing")
    try:
        pq.write_table(table, beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)  # half a file on a full disk


def load(path: Path) -> pa.Table:
    """Read what `save` wrote."""
    return pq.read_table(path)


def load_answers(path: Path) -> pa.Table:
    """Read of it only what answers: task, queue_score and outputs."""
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        wanted = [n for n in names if n in ("task", "queue_score") or n.startswith(OUTPUT)]
        return file.read(wanted)
