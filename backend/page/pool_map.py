"""The map of the pool as a script draws it, and in numbers for whoever cannot see it."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backend.store.files import MAP
from backend.store.store import Store

Json = dict[str, Any]
_SIDE = 999
_SHOWN = 12
"""Classes that have a colour of their own, and a row of the table; the rest is one more."""


class PoolMap:
    """One round's map.

    Attributes:
        tasks: ids of those on it.
        packed: what the script gets, as gzipped JSON.
        summary: what it shows, in numbers.
    """

    def __init__(self, table: pa.Table) -> None:
        """Read what a round wrote."""
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
        self.tasks = frozenset(columns["task"])
        self.packed = gzip.compress(json.dumps(_packed(columns)).encode(), mtime=0)
        self.summary = _summary(columns)


def pool_map(store: Store, project: int) -> PoolMap | None:
    """Return the map of the order that serves; None where it has none."""
    current = store.current(project)
    if current is None:
        return None
    path = store.ranking(current).with_name(MAP)
    with suppress(OSError, pa.ArrowInvalid):
        return _read(path, path.stat().st_mtime_ns)
    return None


@lru_cache(maxsize=8)
def _read(path: Path, written: int) -> PoolMap:
    return PoolMap(pq.read_table(path))


def _packed(columns: Json) -> Json:
    """Return lists with a number for each task; -1: there is nothing to say."""
    said = [value for name in ("predicted", "label") for value in columns.get(name, [])]
    numbers = [value for value in said if isinstance(value, float)]
    found: Json = {
        "tasks": columns["task"],
        "x": [round(_SIDE * x) for x in columns["x"]],
        "y": [round(_SIDE * y) for y in columns["y"]],
        "rank": [rank or -1 for rank in columns["rank"]],
    }
    empty = [None] * len(columns["task"])
    if numbers:
        found["range"] = [min(numbers), max(numbers)]
        for name in ("predicted", "label"):
            values = columns.get(name, empty)
            found[name] = [None if value is None else round(value, 4) for value in values]
    else:
        found["classes"], indices = _coded([columns.get("predicted", empty), columns["label"]])
        found["predicted"], found["label"] = indices
    sure = columns.get("probability", empty)
    found["sure"] = [-1 if p is None else round(100 * p) for p in sure]
    found["modalities"], (found["decides"],) = _coded([columns["decides"]])
    return found


def _coded(lists: list[list[Any]]) -> tuple[list[str], list[list[int]]]:
    """Return the names that occur, the commonest first, and each list as places among them."""
    counts = Counter(str(value) for values in lists for value in values if value is not None)
    names = [name for name, _ in counts.most_common()]
    place = {name: i for i, name in enumerate(names)}
    coded = [[-1 if value is None else place[str(value)] for value in values] for values in lists]
    return names, coded


def _summary(columns: Json) -> Json:
    """Return the map in numbers: tasks, labelled ones, and a row for each of the first classes."""
    empty = [None] * len(columns["task"])
    predicted, label = columns.get("predicted", empty), columns["label"]
    sure = [np.nan if p is None else p for p in columns.get("probability", empty)]
    said = Counter(value for value in predicted if isinstance(value, str))
    done = Counter(value for value in label if isinstance(value, str))
    names = [name for name, _ in (said + done).most_common()]
    rows = []
    for name in names[:_SHOWN]:
        here = [i for i, value in enumerate(predicted) if value == name]
        decides = Counter(columns["decides"][i] for i in here if columns["decides"][i])
        rows.append(
            {
                "name": name,
                "predicted": said[name],
                "labelled": done[name],
                "sure": float(np.nanmean([sure[i] for i in here])) if here else None,
                "decides": [(m, n / decides.total()) for m, n in decides.most_common()],
            }
        )
    return {
        "tasks": len(label),
        "labelled": sum(value is not None for value in label),
        "rows": rows,
        "more": max(0, len(names) - _SHOWN),
    }
