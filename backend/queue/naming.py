"""Label Studio is told which version serves: the store's, of a project that is still connected."""

from __future__ import annotations

from backend.labelstudio.client import LabelStudio
from backend.queue import publish as publishing
from backend.settings import Settings
from backend.store.lease import LEASE_SECONDS
from backend.store.store import Store


def name_current(
    studio: LabelStudio,
    store: Store,
    settings: Settings,
    project: int,
    *,
    wait: float = 2 * LEASE_SECONDS,
) -> list[str]:
    """Make Label Studio serve a project's current version, as the store has it by then.

    Alone, so that a project which is being disconnected is not told of ours once more, nor one
    that is being rolled back of the version before.

    Args:
        studio: Label Studio.
        store: the store.
        settings: our URL tells which backend is ours.
        project: project id.
        wait: seconds to wait for who sets the project up just now.

    Returns:
        What was changed, in plain words; nothing where it is not connected or nothing serves yet.

    Raises:
        Busy: another process still sets it up.
        LabelStudioError: Label Studio refused it.
    """
    with store.alone(project, wait=wait):
        owner, current = store.project(project), store.current(project)
        if not owner.connected or current is None:
            return []
        version = current.version
        changed = publishing.announce(studio, settings, project, owner.backend_id, version)
        store.save_project(project, announced=version)
    return changed
