"""What a project's state is, as plain values for the API and the command line."""

from __future__ import annotations

from typing import Any

from backend.errors import EquipoiseError
from backend.labelstudio.config import parse
from backend.page import review
from backend.queue.fitting import strategy_for
from backend.rounds.agreement import of_project
from backend.rounds.figures import main_figure, sentence
from backend.settings import ProjectSettings, Settings
from backend.store import disk
from backend.store.store import Store, effective
from backend.store.tables import Project, Round


def status(store: Store, settings: Settings, project: int) -> dict[str, Any]:
    """Return a project's state.

    Raises:
        NotConnected: the project is unknown.
    """
    owner = store.project(project)
    current, running = store.current(project), store.running(project)
    try:
        options, invalid = effective(settings, owner), ""
    except EquipoiseError as error:  # one project's must not hide the others'
        options, invalid = ProjectSettings(), str(error)
    last = next(iter(reversed(store.rounds(project))), None)
    return {
        "project": project,
        "title": owner.title,
        "connected": owner.connected,
        "state": _doing(owner, current, running),
        "cleaning": owner.cleaning,
        "progress": {"done": running.done, "total": running.total} if running else {},
        "problem": disk.problem(store, settings) or invalid or owner.problem,
        "last_error": last.error if last is not None and last.error else "",
        "strategy": _strategy(settings, owner, options),
        "settings": options.model_dump(),
        "new_labels": owner.new_labels,
        "requested": owner.requested.get("cause", ""),
        "rolled_back": bool(owner.rolled_back),
        "disk": disk.usage(store, settings),
        "stopping": of_project(store, project),
        **(_of_round(current, store) if current else {"version": None, "round": 0, "labels": 0}),
    }


def _strategy(settings: Settings, owner: Project, options: ProjectSettings) -> str:
    """Return what orders the project; the setting itself where that cannot be told."""
    try:
        return strategy_for(settings, owner, parse(owner.label_config))
    except EquipoiseError:
        return options.strategy


def _doing(owner: Project, current: Round | None, running: Round | None) -> str:
    if running is not None:
        return running.phase or "starting"
    told = current is None or not owner.connected or owner.announced == current.version
    return "idle" if told else "announcing"


def _of_round(found: Round, store: Store) -> dict[str, Any]:
    prefix = "pool_contribution:"
    return {
        "version": found.version,
        "round": found.number,
        "kind": found.kind,
        "cause": found.cause,
        "labels": found.labels,
        "pool": found.pool,
        "published": found.published,
        "finished": found.finished,
        "seconds": round((found.finished or found.started) - found.started, 2),
        "durations": found.durations,
        "quality": sentence(found.measured),
        "look_again": review.sentence(found.measured),
        "measured": found.measured,
        "questions": questions(found),
        "order": found.work.get("order", {}),
        "sees": found.work.get("sees", {}),
        "contributions": {
            k.removeprefix(prefix): v for k, v in found.metrics.items() if k.startswith(prefix)
        },
        "absent_media": found.failures,
        "absent_examples": found.work.get("absent", {}),
        "near_duplicates": found.work.get("twins", {}),
        "unread_results": found.work.get("unread", 0),
        "checkpoint": str(store.path(found.checkpoint)) if found.checkpoint else "",
    }


def questions(found: Round) -> dict[str, dict[str, Any]]:
    """Return what is known of each question of a round; {} where only one is asked.

    Its labels, whether it waits for more of them, and its metrics; those of the first one are the
    round's own.
    """
    asked: dict[str, dict[str, Any]] = {}
    for key, value in found.metrics.items():
        metric, at, name = key.partition("@")
        if at:
            asked.setdefault(name, {"waits": False})
            asked[name].update({"waits": True} if metric == "waiting" else {metric: value})
    return asked


def history(store: Store, project: int) -> list[dict[str, Any]]:
    """Return a project's rounds, oldest first, for people."""
    store.project(project)
    return [
        {
            "version": found.version,
            "state": found.state,
            "kind": found.kind,
            "cause": found.cause,
            "labels": found.labels,
            "pool": found.pool,
            "seconds": round((found.finished or found.started) - found.started, 2),
            "durations": found.durations,
            "figure": main_figure(found.measured),
            "error": found.error,
        }
        for found in store.rounds(project)
    ]
