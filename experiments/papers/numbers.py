"""The numbers of the papers' tables: mean and standard deviation over seeds, one round each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from experiments.curves import Curves
from experiments.report import write_table
from strategies.pool import TargetKind

REGRESSION = {
    "MAE": "mae",
    "Acc-2": "acc2",
    "Acc-3": "acc3",
    "Acc-5": "acc5",
    "Acc-7": "acc7",
    "F1": "f1",
    "Corr": "corr",
}
CLASSES = {"macro Top-1": "macro_accuracy", "micro Top-1": "accuracy", "F1": "f1"}
Full = Mapping[str, Sequence[float]]
"""Metric -> its value for each seed, of networks that learned all labels."""


def columns_of(found: Curves) -> dict[str, str]:
    """Return the table's heading -> metric; of classes with each modality's own Top-1."""
    if found.kind is TargetKind.REGRESSION:
        return REGRESSION
    own = {f"{name} macro Top-1": f"macro_accuracy:{name}" for name in found.schema.names}
    return {**CLASSES, **{title: metric for title, metric in own.items() if metric in found.values}}


def table(found: Curves, full: Full | None = None, everything: int = 0) -> pa.Table:
    """Return a row per strategy: each metric's mean and standard deviation over seeds.

    Args:
        found: the replay.
        full: what all labels give, for a last row.
        everything: number of all labels.
    """
    labels = int(found.labels[-1])
    rows: dict[str, dict[str, Sequence[float]]] = {
        name: {
            title: found.values[metric][place, :, -1].tolist()
            for title, metric in columns_of(found).items()
        }
        for place, name in enumerate(found.contenders)
    }
    counts = dict.fromkeys(rows, labels)
    if full:
        rows["all labels"] = {t: full[metric] for t, metric in columns_of(found).items()}
        counts["all labels"] = everything
    columns: dict[str, list] = {"strategy": list(rows), "labels": list(counts.values())}
    for title in columns_of(found):
        columns[title] = [float(np.mean(row[title])) for row in rows.values()]
        columns[f"{title} sd"] = [_deviation(row[title]) for row in rows.values()]
    return pa.table(columns)


def printed(found: Curves, to: Path, full: Full | None = None, everything: int = 0) -> list[str]:
    """Write the table as Parquet and CSV, and return it as lines."""
    numbers = table(found, full, everything)
    write_table(numbers, to)
    titles = list(columns_of(found))
    head = ["strategy", "labels", *titles]
    lines = [
        [row["strategy"], str(row["labels"])]
        + [f"{row[title]:.3f}±{row[f'{title} sd']:.3f}" for title in titles]
        for row in numbers.to_pylist()
    ]
    return aligned([head, *lines])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines of columns."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
