"""Forgetting a project that Label Studio has no more."""

from __future__ import annotations

from backend.errors import EquipoiseError
from backend.labelstudio.client import LabelStudio
from backend.queue.disconnect import gone
from backend.store.store import Store


def forget(studio: LabelStudio, store: Store, project: int) -> int:
    """Delete a project from the store, with its rounds and their files.

    Returns:
        How many rounds there were.

    Raises:
        EquipoiseError: the project is there, and connected: it must be disconnected first.
    """
    owner = store.project(project)
    with store.alone(project):
        if owner.connected and not gone(studio, owner):
            raise EquipoiseError(
                f"Label Studio has project {project} still: run "
                f"`equipoise disconnect --project {project}` first."
            )
        store.cancel(project)
        rounds = store.rounds(project)
        store.forget(project)
        store.remove_files(project)
    return len(rounds)
