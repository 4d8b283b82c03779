"""What a webhook event means: something changed, or training is wanted. Only noted, never done."""

from __future__ import annotations

from typing import Any

from backend.errors import EquipoiseError
from backend.store.store import Store
from backend.store.tables import Kind

CHANGES = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
    "PROJECT_UPDATED",
)
DELETED = "TASKS_DELETED"
START = "START_TRAINING"
MAX_PROJECT = 2**31 - 1
"""Label Studio's ids are 32-bit, and so are the store's on PostgreSQL."""


def project_id(value: Any) -> int:
    """Read a project id as Label Studio sends it: 37, "37" or "37.1795313106".

    Raises:
        EquipoiseError: it is neither.
    """
    text = str(value).split(".", 1)[0]
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise EquipoiseError(f"No project id: {str(value)[:60]!r}")
    found = int(text)
    if found > MAX_PROJECT:
        raise EquipoiseError(f"No project id: {text}")
    return found


def created(value: Any) -> str:
    """Return the stamp of a project's making in "37.1795313106"; "" where there is none."""
    stamp = str(value).partition(".")[2]
    return stamp if stamp.isascii() and stamp.isdecimal() and len(stamp) <= 18 else ""


def note(store: Store, action: str, project: Any, tasks: Any = None) -> bool:
    """Note an event of one of our projects; others are let pass.

    Args:
        store: the store.
        action: Label Studio's name of the event.
        project: the event's project: an object with an id, or the id.
        tasks: those that it names, as objects with an id each.

    Returns:
        Whether it was ours.
    """
    try:
        found = project_id(project.get("id") if isinstance(project, dict) else project)
        store.project(found)
    except EquipoiseError:
        return False
    if action == START:
        store.request(found, Kind.TRAIN, "Start Training in Label Studio")
    elif action in CHANGES:
        if action == DELETED:  # nothing else tells which ones are gone
            store.mirror(found).name(_ids(tasks))
        store.mark_changed(found)
    return True


def _ids(tasks: Any) -> list[int]:
    """Return the ids of an event's tasks; what is none names nothing."""
    listed = tasks if isinstance(tasks, list) else []
    found = [task.get("id") for task in listed if isinstance(task, dict)]
    return [task for task in found if type(task) is int and 0 < task <= MAX_PROJECT]
