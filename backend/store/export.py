"""Batch export of a round's scores as Parquet, CSV or JSON Lines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from backend.errors import EquipoiseError
from backend.store import judgements
from backend.store import rankings as ranking
from backend.store.store import Store
from backend.store.tables import Round

FORMATS = (".parquet", ".csv", ".jsonl")


def export(store: Store, project: int, out: Path, version: str | None = None) -> int:
    """Write the whole pool's ranking of a round.

    Args:
        store: the store.
        project: project id.
        out: file to write; the suffix is the format. Written beside and renamed.
        version: a round's version; default the current one.

    Returns:
        How many tasks were written.

    Raises:
        EquipoiseError: unknown format, no such version, or nothing ranked yet.
    """
    check_format(out)
    return write(ranking.load(store.ranking(_find(store, project, version))), out)


def export_labels(store: Store, project: int, out: Path) -> int:
    """Write what models say of the labels that they had not seen, likely wrong ones first.

    Returns:
        How many labels were written.

    Raises:
        EquipoiseError: unknown format, or nothing was judged yet.
    """
    check_format(out)
    judged = judgements.load(store, _find(store, project, None).checkpoint)
    if judged is None:
        raise EquipoiseError(
            f"No label of project {project} was judged yet: `equipoise retrain` does so."
        )
    return write(judged.sort_by([("quality", "ascending"), ("task", "ascending")]), out)


def check_format(out: Path) -> None:
    """Raise EquipoiseError where a file's suffix names no format."""
    if out.suffix not in FORMATS:
        raise EquipoiseError(f"Cannot export to {out.name!r}: use one of {', '.join(FORMATS)}.")


def write(ranked: pa.Table, out: Path) -> int:
    """Write a ranking beside a file and rename it; returns how many tasks it has."""
    table = flat(ranked)
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        _write(table, beside, out.suffix)
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    return int(table.num_rows)


def flat(table: pa.Table) -> pa.Table:
    """Return the table without the raw outputs, which only serving needs."""
    return table.select([n for n in table.column_names if not n.startswith(ranking.OUTPUT)])


def _find(store: Store, project: int, version: str | None) -> Round:
    store.project(project)
    if version is None:
        current = store.current(project)
        if current is None:
            raise EquipoiseError(
                f"Project {project} has no finished round yet: see `equipoise status`."
            )
        return current
    for found in store.rounds(project):
        if found.version == version and store.has_ranking(found):
            return found
    raise EquipoiseError(f"Project {project} has no ranking of version {version!r}.")


def _write(table: pa.Table, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    elif suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        with path.open("w", encoding="utf-8") as file:
            for batch in table.to_batches(max_chunksize=10_000):
                for row in batch.to_pylist():
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
