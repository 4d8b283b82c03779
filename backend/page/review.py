"""Labels to look at again, and how far annotators agree, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from backend.errors import EquipoiseError
from backend.labelstudio.annotations import read_task
from backend.labelstudio.config import parse
from backend.settings import Settings
from backend.store import judgements, rankings
from backend.store.store import Store

Json = dict[str, Any]


def review(store: Store, settings: Settings, project: int, count: int) -> Json:
    """Return what a person looks at again.

    Returns:
        `sentence`; `labels`: the likely wrong ones first, each with task, url, question, given,
        likely, quality, suspect and changed (since the last training); `agreement`: lines about
        annotators.

    Raises:
        NotConnected: the project is unknown.
    """
    store.project(project)
    current = store.current(project)
    measured = current.measured if current is not None else {}
    rows = doubtful(store, project, count)
    changed = _changed(store, project, [row["task"] for row in rows])
    base = settings.label_studio_url.rstrip("/")
    return {
        "sentence": sentence(measured) or "No label has been judged yet: train a round first.",
        "labels": [
            {
                **row,
                "changed": row["task"] in changed,
                "url": f"{base}/projects/{project}/data?task={row['task']}",
            }
            for row in rows
        ],
        "agreement": agreement(measured),
    }


def _changed(store: Store, project: int, tasks: Sequence[int]) -> set[int]:
    """Return the tasks whose labels are others than those that the newest round learned from."""
    said = store.mirror(project).annotations(tasks) if tasks else {}
    if not said:
        return set()
    try:
        config = parse(store.project(project).label_config)
    except EquipoiseError:
        return set()
    before, found = store.trained_on(project), set()
    for task, made in said.items():
        now = read_task({"id": task, "annotations": made}, config)
        then = before.get(str(task))
        if then is not None and (now is None or now.stamp != then):
            found.add(task)
    return found


def doubtful(store: Store, project: int, count: int) -> list[Json]:
    """Return the first of a project's judged labels, the least likely right first."""
    current = store.current(project)
    path = judgements.path(store, current.checkpoint) if current is not None else None
    return [] if path is None else _doubtful(path, path.stat().st_mtime_ns, count)


@lru_cache(maxsize=32)
def _doubtful(path: Path, written: int, count: int) -> list[Json]:
    table = rankings.load(path)
    first = pc.sort_indices(table, [("quality", "ascending"), ("task", "ascending")])
    rows: list[Json] = table.take(first[:count]).to_pylist()
    return rows


def sentence(measured: Mapping[str, Any]) -> str:
    """Say how many labels are likely wrong; "" where nothing is known of them."""
    found = measured.get("review", {})
    if not found.get("judged"):
        return ""
    return f"{found['suspect']:,} of {found['judged']:,} labels are likely wrong"


def agreement(measured: Mapping[str, Any]) -> list[str]:
    """Say how far annotators agree, where several have answered the same tasks."""
    lines = []
    for question, of in measured.get("review", {}).get("questions", {}).items():
        if of["several"] and of["alpha"] is not None:
            classes = ", ".join(f"{name} ({share:.0%})" for name, share in of["classes"].items())
            lines.append(
                f"{question}: {of['several']} tasks with several answers, Krippendorff's alpha "
                f"{of['alpha']:.2f}; a second annotator says the same of {classes}"
            )
        if len(of["annotators"]) > 1:
            lines += [_annotator(question, who, one) for who, one in of["annotators"].items()]
    return lines


def _annotator(question: str, who: str, found: Mapping[str, Any]) -> str:
    said = f"{question}: annotator {who} gave {found['labels']} labels"
    if found["agree"] is not None:
        value, low, high = (f"{share:.0%}" for share in found["agree"])
        said += f", others agree with {value} ({low} to {high})"
    if found["alone"]:
        said += f"; {found['suspect']} of {found['alone']} that nobody else gave are likely wrong"
    return said
