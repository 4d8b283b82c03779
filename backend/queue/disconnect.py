"""Taking back what `connect` did to a Label Studio project."""

from __future__ import annotations

from typing import Any

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudio
from backend.queue import publish as publishing
from backend.queue.connect import stamp_of
from backend.queue.tab import our_tabs
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Project

_TRIES = 3


def disconnect(
    studio: LabelStudio, store: Store, settings: Settings, project: int, *, predictions: bool
) -> list[str]:
    """Take everything back that `connect` did.

    Args:
        studio: Label Studio.
        store: the store; the project's rounds and files stay in it.
        settings: our URL tells which backend and webhook are ours.
        project: project id.
        predictions: also delete the predictions of our versions.

    Returns:
        What was done, one line each.
    """
    store.project(project)
    with store.alone(project):
        return _disconnect(studio, store, settings, project, predictions)


def _disconnect(
    studio: LabelStudio, store: Store, settings: Settings, project: int, predictions: bool
) -> list[str]:
    owner = store.project(project)
    if gone(studio, owner):
        _note_disconnected(store, project)
        return [f"Label Studio has the project no more; `equipoise forget --project {project}`"]
    done = []
    for row in studio.backends(project):
        if row["url"].rstrip("/") == settings.url:
            studio.delete_backend(int(row["id"]))
            done.append("removed the backend")
    for hook in studio.webhooks(project):
        if hook["url"].rstrip("/") == f"{settings.url}/webhook":
            studio.delete_webhook(int(hook["id"]))
            done.append("removed the webhook")
    for tab, title in our_tabs(studio, project):
        studio.delete_tab(tab, project)
        done.append(f"removed the tab {title!r}")
    undo = dict(owner.undo)
    version = undo.pop("model_version", "")
    if predictions:
        versions = publishing.our_versions(studio, project)
        deleted = sum(publishing.delete_version(studio, project, name) for name in versions)
        done.append(f"deleted {deleted} predictions")
    done.append(_restore_version(studio, project, version))
    if undo:
        _restore(studio, project, undo)
        done.append(f"restored {', '.join(f'{k}={v!r}' for k, v in undo.items())}")
    _note_disconnected(store, project)
    return done


def _restore(studio: LabelStudio, project: int, undo: dict[str, Any]) -> None:
    """Set a project as it was, and look whether it stayed so.

    Note: a request that Label Studio began before, such as the deletion of predictions, may save
    the whole project after ours, as it was when that request began.
    """
    for _ in range(_TRIES):
        studio.update_project(project, **undo)
        now = studio.project(project)
        if all(now.get(name) == value for name, value in undo.items()):
            return
    raise LabelStudioError(
        f"Label Studio did not keep {', '.join(f'{k}={v!r}' for k, v in undo.items())} of project "
        f"{project}: set it there by hand, or disconnect again."
    )


def _restore_version(studio: LabelStudio, project: int, version: str) -> str:
    try:
        studio.update_project(project, model_version=version)
    except LabelStudioError as error:
        if error.status != 400:
            raise
        # Its backend or its predictions went meanwhile: nothing is selected then.
        return f"could not restore model_version={version!r}: it has no predictions any more"
    return f"restored model_version={version!r}"


def gone(studio: LabelStudio, owner: Project) -> bool:
    """Tell whether Label Studio has a project no more; another one may have its id."""
    try:
        stamp = stamp_of(studio.project(owner.id))
    except LabelStudioError as error:
        if error.status != 404:
            raise
        return True
    return bool(stamp and owner.created and stamp != owner.created)


def _note_disconnected(store: Store, project: int) -> None:
    store.cancel(project)
    store.save_project(
        project, connected=False, backend_id=None, undo={}, announced="", requested={}, problem=""
    )
