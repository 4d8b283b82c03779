"""The tasks that the page shows: the first of the order, and those of the map."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from backend.page.pool_map import pool_map
from backend.page.review import doubtful
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Round

Json = dict[str, Any]
NEXT, AGAIN = 20, 10
_COLUMNS = ("task", "rank", "audit", "why", "predicted", "probability")


def next_tasks(store: Store, settings: Settings, project: int) -> list[Json]:
    """Return the first tasks of the order that serves; only these rows are read."""
    current = store.current(project)
    if current is None:
        return []
    path = store.ranking(current)
    glimpses = _glimpses(path.with_name("glimpses.json"))
    base = settings.label_studio_url.rstrip("/")
    return [
        {
            **row,
            "url": f"{base}/projects/{project}/data?task={row['task']}",
            "values": glimpses.get(str(row["task"]), []),
        }
        for row in _first(path)
    ]


def may_be_shown(store: Store, project: int, task: int) -> bool:
    """Tell whether a task's media are shown on the page of its project."""
    current = store.current(project)
    if current is None:
        return False
    if any(row["task"] == task for row in doubtful(store, project, AGAIN)):
        return True
    if task in examples(current):
        return True
    drawn = pool_map(store, project)
    if drawn is not None and task in drawn.tasks:
        return True
    return any(row["task"] == task for row in _first(store.ranking(current)))


def examples(found: Round) -> set[int]:
    """Return the tasks that stand for others: near-duplicates, and those with absent media."""
    pairs = found.work.get("twins", {}).get("examples", [])
    absent = found.work.get("absent", {}).values()
    return {task for some in (*pairs, *absent) for task in some}


def _first(path: Path) -> list[Json]:
    with suppress(OSError):
        return _read(path, path.stat().st_mtime_ns)
    return []


@lru_cache(maxsize=32)
def _read(path: Path, written: int) -> list[Json]:
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in _COLUMNS if name in file.schema_arrow.names]
            batch = next(file.iter_batches(batch_size=NEXT, columns=names), None)
    except (OSError, pa.ArrowInvalid):
        return []
    rows: list[Json] = batch.to_pylist() if batch is not None else []
    return rows


def _glimpses(path: Path) -> dict[str, list[Json]]:
    with suppress(OSError, ValueError):
        found: dict[str, list[Json]] = json.loads(path.read_text())
        return found
    return {}  # an older round has none
