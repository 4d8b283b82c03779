"""The Data Manager tab in the queue's order: how urgent a task is, its prediction, its media."""

from __future__ import annotations

from typing import Any

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import LabelConfig, Level

Json = dict[str, Any]
TAB = "Equipoise: label first"
_OTHERS = (
    *("inner_id", "completed_at", "total_annotations", "cancelled_annotations"),
    *("total_predictions", "annotators", "annotations_results", "annotations_ids"),
    *("predictions_model_versions", "file_upload", "storage_filename", "created_at", "updated_at"),
    *("updated_by", "avg_lead_time", "draft_exists"),
)
"""Columns that say nothing of an open task; they stand before its media, which is out of sight."""


def our_tabs(studio: LabelStudio, project: int) -> list[int]:
    """Return the ids of our tabs."""
    return [int(tab["id"]) for tab in _ours(studio, project)]


def _ours(studio: LabelStudio, project: int) -> list[Json]:
    return [tab for tab in studio.tabs(project) if tab["data"].get("title") == TAB]


def make_tab(studio: LabelStudio, project: int, config: LabelConfig) -> str:
    """Make the tab, once, and say so; one that shows every column, as 0.1 made it, is made anew."""
    ours = _ours(studio, project)
    kept = [tab for tab in ours if "hiddenColumns" in tab["data"]][:1]
    for tab in ours:
        if tab not in kept:
            studio.delete_tab(int(tab["id"]), project)
    if kept:
        return f"found the tab {TAB!r}"
    studio.create_tab(project, columns(config))
    return f"created the tab {TAB!r}, in the order of the queue"


def columns(config: LabelConfig) -> Json:
    """Return what the tab is: open tasks, the most valuable (lowest score) first, and few columns.

    Where nothing is pre-annotated there is no predicted answer to show.
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
