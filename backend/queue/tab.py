"""Our tabs in the Data Manager: what to label first, to look at again, and what is safe to accept.

The first is always there. The others name single tasks, and exist while there are some: see
lists.py. Label Studio's browser knows no filter "one of these ids", and one that it does not know
stops the whole Data Manager from opening; so each run of ids is a filter of its own, and there
are few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import LabelConfig, Level

Json = dict[str, Any]
TAB = "Equipoise: label first"
AGAIN = "Equipoise: look again"
SAFE = "Equipoise: safe to accept"
MOST = 50
"""Tasks that a tab names: each may be a line of its filters."""
_OTHERS = (
    *("inner_id", "completed_at", "total_annotations", "cancelled_annotations"),
    *("total_predictions", "annotators", "annotations_results", "annotations_ids"),
    *("predictions_model_versions", "file_upload", "storage_filename", "created_at", "updated_at"),
    *("updated_by", "avg_lead_time", "draft_exists"),
)
"""Columns that say nothing of an open task; they stand before its media, which is out of sight."""
_SAID = ("annotators", "annotations_results", "updated_at", "updated_by")
"""Those of them that say something of a labelled one."""


def our_tabs(studio: LabelStudio, project: int) -> list[tuple[int, str]]:
    """Return id and title of our tabs."""
    found = ((int(tab["id"]), tab["data"].get("title")) for tab in studio.tabs(project))
    return [(tab, title) for tab, title in found if title in (TAB, AGAIN, SAFE)]


def _of(studio: LabelStudio, project: int, title: str) -> list[Json]:
    return [tab for tab in studio.tabs(project) if tab["data"].get("title") == title]


def make_tab(studio: LabelStudio, project: int, config: LabelConfig) -> str:
    """Make the tab, once, and say so; one that shows every column, as 0.1 made it, is made anew."""
    ours = _of(studio, project, TAB)
    kept = [tab for tab in ours if "hiddenColumns" in tab["data"]][:1]
    for tab in ours:
        if tab not in kept:
            studio.delete_tab(int(tab["id"]), project)
    if kept:
        return f"found the tab {TAB!r}"
    studio.create_tab(project, columns(config))
    return f"created the tab {TAB!r}, in the order of the queue"


def name_tasks(studio: LabelStudio, project: int, title: str, tasks: Sequence[int]) -> None:
    """Let a tab show some tasks, at most MOST; without any there is no such tab."""
    ours = _of(studio, project, title)
    for tab in ours[1:] if tasks else ours:
        studio.delete_tab(int(tab["id"]), project)
    if not tasks:
        return
    wanted = naming(title, tasks)
    if not ours:
        studio.create_tab(project, wanted)
    elif ours[0]["data"].get("filters") != wanted["filters"]:
        # What somebody has changed of its columns stays.
        kept = {**ours[0]["data"], "filters": wanted["filters"]}
        studio.update_tab(int(ours[0]["id"]), project, kept)


def naming(title: str, tasks: Sequence[int]) -> Json:
    """Return what a tab is that shows some tasks: those of its ids, whatever becomes of them."""
    hidden = [f"tasks:{name}" for name in _OTHERS if title == SAFE or name not in _SAID]
    return {
        "title": title,
        "ordering": ["tasks:id"],
        "hiddenColumns": {"explore": hidden, "labeling": hidden},
        "filters": {"conjunction": "or", "items": [_run(*run) for run in _runs(tasks[:MOST])]},
    }


def _runs(tasks: Sequence[int]) -> list[tuple[int, int]]:
    """Return first and last of each run of ids that follow one another."""
    found: list[tuple[int, int]] = []
    for task in sorted(set(tasks)):
        if found and found[-1][1] == task - 1:
            found[-1] = (found[-1][0], task)
        else:
            found.append((task, task))
    return found


def _run(first: int, last: int) -> Json:
    its_id = {"filter": "filter:tasks:id", "type": "Number"}
    if first == last:
        return {**its_id, "operator": "equal", "value": first}
    return {**its_id, "operator": "in", "value": {"min": first, "max": last}}


def columns(config: LabelConfig) -> Json:
    """Return what the first tab is: open tasks, the most valuable (lowest score) first.

    Few columns; where nothing is pre-annotated there is no predicted answer to show.
    """
    answered = config.level is Level.LEARNED
    names = _OTHERS if answered else (*_OTHERS, "predictions_results")
    hidden = [f"tasks:{name}" for name in names]
    return {
        "title": TAB,
        "ordering": ["tasks:predictions_score"],
        "hiddenColumns": {"explore": hidden, "labeling": hidden},
        "columnsWidth": {"tasks:predictions_results": 420},
        "filters": {
            "conjunction": "and",
            "items": [
                {
                    "filter": "filter:tasks:total_annotations",
                    "operator": "equal",
                    "type": "Number",
                    "value": 0,
                }
            ],
        },
    }
