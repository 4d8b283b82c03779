"""`equipoise rollback`: an earlier round serves again, until the next one is finished."""

from __future__ import annotations

from backend.errors import EquipoiseError
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import LabelConfig, parse
from backend.queue import publish as publishing
from backend.settings import ProjectSettings, Settings
from backend.store import rankings as ranking
from backend.store.store import Store, effective
from backend.store.tables import Round, State
from model.schema import Schema


def rollback(
    studio: LabelStudio, store: Store, settings: Settings, project: int, version: str
) -> list[str]:
    """Make an earlier finished round the one that serves.

    Its predictions are completed in Label Studio before anything names it. Whatever breaks this
    off leaves the version before it serving, or this one committed and told by the next look; so
    it may be repeated.

    Returns:
        What was done, one line each.

    Raises:
        EquipoiseError: there is no such round any more, it does not fit the project's label config,
            or another round is running.
        Busy: the project is being connected, disconnected or rolled back by another process.
    """
    with store.alone(project):
        owner = store.project(project)
        if not owner.connected:
            raise EquipoiseError(f"Project {project} is not connected: nothing serves it.")
        found = _find(store, project, version)
        remote = studio.project(project)
        config = parse(remote["label_config"])
        _check_fit(found, config)
        options = ProjectSettings(**found.options.get("settings", {}))
        table = ranking.load(store.ranking(found))
        still_open = studio.open_tasks(project)
        rows = publishing.predictions(table, config, version, options.published, still_open)
        if not rows:
            raise EquipoiseError(
                f"Every task that {version} ranked is labelled or deleted: there is nothing left "
                "to serve by it."
            )
        stored = publishing.complete(studio, project, rows, version)
        seen = {
            "tasks": int(remote["task_number"]),
            "configured": effective(settings, owner).strategy,
        }
        store.roll_back(project, found, **seen)
        publishing.announce(studio, settings, project, owner.backend_id, version)
        store.save_project(project, announced=version)
    kept = "all its predictions were still there" if not stored else f"{stored} stored again"
    return [f"{version} serves again ({kept})", "the next round replaces it as usual"]


def available(store: Store, project: int) -> list[str]:
    """Return the versions that can serve again, newest first: finished, and still on disk."""
    return [found.version for found in reversed(store.rounds(project)) if _usable(store, found)]


def _usable(store: Store, found: Round) -> bool:
    if found.state != State.DONE or found.options.get("dry") or not store.has_ranking(found):
        return False
    return not found.checkpoint or store.has_model(found)


def _find(store: Store, project: int, version: str) -> Round:
    for found in store.rounds(project):
        if found.version == version and _usable(store, found):
            return found
    names = ", ".join(available(store, project)) or "none"
    raise EquipoiseError(
        f"Project {project} has no finished round {version!r} whose files are still there. "
        f"Available: {names}. (Setting keep_rounds says how many are kept.)"
    )


def _check_fit(found: Round, config: LabelConfig) -> None:
    changes = config.schema.changes_since(Schema.from_json(found.schema)) if found.schema else ()
    if changes:
        raise EquipoiseError(
            f"{found.version} was made for another label config ({'; '.join(changes)[:300]}): its "
            "predictions would not be accepted. Change the config back first, or retrain."
        )
