"""What the page shows of a project, as plain values from the store; Label Studio is not asked."""

from __future__ import annotations

import time
from typing import Any

from backend.errors import EquipoiseError
from backend.labelstudio.config import parse
from backend.options import ProjectSettings
from backend.page.acceptance import ERRORS
from backend.page.curves import curves
from backend.page.pool_map import pool_map
from backend.page.review import review
from backend.page.status import history, status
from backend.page.tasks import AGAIN, next_tasks
from backend.queue.rollback import available
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Project

Json = dict[str, Any]
_ROUNDS = 15


def overview(store: Store, settings: Settings) -> list[Json]:
    """Return one line for each project."""
    return [status(store, settings, owner.id) for owner in store.projects()]


def project_view(store: Store, settings: Settings, project: int) -> Json:
    """Return all that the page of one project shows.

    Raises:
        NotConnected: the project is unknown.
    """
    state, rounds = status(store, settings, project), history(store, project)
    measured, owner = state.get("measured", {}), store.project(project)
    found = pool_map(store, project)
    return {
        "state": state,
        "now": now(state, rounds, store, project),
        "curves": curves(store.rounds(project)),
        "classes": _classes(measured),
        "modalities": _modalities(measured),
        "map": found.summary if found is not None else None,
        "kinds": [one["kind"] for one in _media(owner)],
        "media": _media(owner),
        "studio": settings.label_studio_url.rstrip("/"),
        "review": review(store, settings, project, AGAIN),
        "accept": measured.get("accept"),
        "accepted_unseen": owner.accepted,
        "errors": ERRORS,
        "tasks": next_tasks(store, settings, project),
        "rounds": list(reversed(rounds[-_ROUNDS:])),
        "settings": sources(settings, owner),
        "versions": [v for v in available(store, project) if v != state["version"]][:5],
    }


def _media(owner: Project) -> list[Json]:
    """Return each modality, of which a task's value is not looked at; places name them."""
    try:
        modalities = parse(owner.label_config).schema.modalities
    except EquipoiseError:
        return []
    return [{"name": m.name, "kind": str(m.kind), "text": "", "reason": ""} for m in modalities]


def now(state: Json, rounds: list[Json], store: Store, project: int) -> str:
    """Say what happens, and what happens next."""
    running = store.running(project)
    last = [r["seconds"] for r in rounds if r["state"] == "done" and r["kind"] == "train"]
    takes = f" It takes about {last[-1]:.0f} s." if last else ""
    if running is not None:
        done = f", {running.done} of {running.total}" if running.total else ""
        since = max(0.0, time.time() - running.started)
        left = f", about {last[-1] - since:.0f} s left" if last and last[-1] > since else ""
        return f"A round is running ({running.cause}): {running.phase or 'starting'}{done}{left}."
    if not state["connected"]:
        return "Not connected: nothing will happen until it is."
    if state["requested"]:
        return f"A round is asked for ({state['requested']}) and starts as soon as it can."
    wanted, new = state["settings"]["retrain_after"], state["new_labels"]
    return f"{new} of {wanted} new labels; with {max(wanted - new, 0)} more, a round starts.{takes}"


def sources(settings: Settings, owner: Project) -> list[Json]:
    """Return every setting of a project with where its value comes from."""
    own = settings.projects.get(owner.id, {})
    found = []
    for name, field in ProjectSettings.model_fields.items():
        value, source = field.get_default(call_default_factory=True), "default"
        if getattr(settings, name) is not None:
            value, source = getattr(settings, name), "environment or equipoise.toml"
        for where, given in (
            (f"[projects.{owner.id}] in equipoise.toml", own),
            ("extra params in Label Studio", owner.extra_params),
            ("equipoise set", owner.overrides),
        ):
            if name in given:
                value, source = given[name], where
        told = "" if value is None else value
        about = field.description or ""
        found.append({"name": name, "value": told, "source": source, "about": about})
    return found


def _classes(measured: Json) -> list[Json]:
    """Return for each question its classes: labels, and how often they are found."""
    found = []
    for question, counts in measured.get("counts", {}).items():
        known = measured["questions"].get(question, {}).get("classes", {})
        most = max(counts.values(), default=0) or 1
        rows = [
            {"name": name, "labels": n, "bar": n / most, "found": known.get(name)}
            for name, n in sorted(counts.items(), key=lambda pair: -pair[1])
        ]
        if rows:
            found.append({"question": question, "rows": rows[:50], "more": len(rows) - 50})
    return found


def _modalities(measured: Json) -> list[Json]:
    found = []
    for name, said in measured.get("modalities", {}).items():
        figure = next(key for key in said if key != "n")
        found.append({"name": name, "figure": figure, "value": said[figure], "n": said["n"]})
    return found
