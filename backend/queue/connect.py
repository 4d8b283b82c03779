"""Connecting a Label Studio project to this backend; disconnect.py takes it back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.queue import publish as publishing
from backend.queue.fitting import strategy_for
from backend.queue.tab import make_tab
from backend.settings import SECRET_HEADER, Settings
from backend.store.store import INITIAL_VERSION, Store
from backend.store.tables import Project

Json = dict[str, Any]
SAMPLING = "Uncertainty sampling"
_BLOCKED = (
    "Label Studio 1.23.2 and newer refuse backends on loopback and private addresses. Start "
    "Label Studio with USE_DEFAULT_BANNED_SUBNETS=false (or ML_BLOCK_LOCAL_IP=false together with "
    "SSRF_PROTECTION_ENABLED=false), then connect again."
)


def connect(studio: LabelStudio, store: Store, settings: Settings, project: int) -> list[str]:
    """Set a project up for active learning; safe to repeat, and one at a time.

    Returns:
        What was done, one line each.

    Raises:
        UnsupportedConfig: the label config has nothing to learn.
        LabelStudioError: Label Studio refused a step; the message says what to do.
        Busy: another process connects the project and does not come to an end.
    """
    with store.alone(project):
        return _connect(studio, store, settings, project)


def _connect(studio: LabelStudio, store: Store, settings: Settings, project: int) -> list[str]:
    remote = studio.project(project)
    config = parse(remote["label_config"])
    known = {p.id: p for p in store.projects()}.get(project)
    owner = known or Project(id=project, extra_params={}, overrides={})
    strategy_for(settings, owner, config)
    undo: Json = dict(known.undo) if known else {}
    done = [f"{config.level}: {config.sentence}"]
    done += [f"reads {line}" for line in config.reading]
    done += [f"leaves out {note}" for note in config.ignored]
    store.save_project(project, title=remote["title"], label_config=remote["label_config"])
    store.note_created(project, stamp_of(remote))
    current = store.current(project)
    version = current.version if current else INITIAL_VERSION
    backend, line = _backend(studio, settings, project, version)
    done.append(line)
    done.append(_webhook(studio, settings, project))
    done += _sampling(studio, remote, project, undo)
    done += _hidden(studio, remote, project, undo)
    done.append(make_tab(studio, project, config))
    publishing.announce(studio, settings, project, backend, version)
    done.append(f"serves version {version}")
    store.save_project(
        project, backend_id=backend, undo=undo, connected=True, announced=version, problem=""
    )
    return done


def is_registered(studio: LabelStudio, settings: Settings, project: int) -> bool:
    """Tell whether the project has this backend."""
    return any(row["url"].rstrip("/") == settings.url for row in studio.backends(project))


def _backend(
    studio: LabelStudio, settings: Settings, project: int, version: str
) -> tuple[int, str]:
    fields: Json = {**settings.backend_fields, "title": version}
    ours = [b for b in studio.backends(project) if b["url"].rstrip("/") == settings.url]
    if not ours:
        try:
            ours = [studio.create_backend(project, fields)]
        except LabelStudioError as error:
            raise _explained(studio, settings, project, error) from error
        return int(ours[0]["id"]), f"registered {settings.url} as the project's backend"
    for double in ours[1:]:
        studio.delete_backend(int(double["id"]))
    backend = int(ours[0]["id"])
    # Added by hand it has a title of its own, and Label Studio accepts a version only once it is
    # a title or has predictions.
    studio.update_backend(backend, project, **fields)
    return backend, f"found {settings.url} among the project's backends"


def _explained(
    studio: LabelStudio, settings: Settings, project: int, error: LabelStudioError
) -> LabelStudioError:
    if error.status == 403:
        # A half-blocked Label Studio keeps the row although it answered 403.
        for row in studio.backends(project):
            if row["url"].rstrip("/") == settings.url:
                studio.delete_backend(int(row["id"]))
        return LabelStudioError(f"{error} {_BLOCKED}", 403)
    return LabelStudioError(
        f"{error} Is `equipoise serve` running, and does Label Studio reach it at {settings.url} "
        "(setting EQUIPOISE_PUBLIC_URL)?",
        error.status,
    )


def webhook_headers(settings: Settings) -> dict[str, str]:
    """Return the headers that a webhook needs to get in."""
    secret = settings.event_secret
    return {} if secret is None else {SECRET_HEADER: secret}


def _webhook(studio: LabelStudio, settings: Settings, project: int) -> str:
    url = f"{settings.url}/webhook"
    headers = webhook_headers(settings)
    ours = [hook for hook in studio.webhooks(project) if hook["url"].rstrip("/") == url]
    if not ours:
        try:
            studio.create_webhook(project, url, headers)
        except LabelStudioError as error:
            raise LabelStudioError(
                f"{error} Label Studio wants a host name with a dot (or an IP address, or "
                "localhost) in a webhook's address: set EQUIPOISE_PUBLIC_URL to such a one.",
                error.status,
            ) from error
        return "created the webhook that reports annotations"
    for double in ours[1:]:
        studio.delete_webhook(int(double["id"]))
    studio.update_webhook(
        int(ours[0]["id"]),
        url=url,
        headers=headers,
        send_payload=True,
        send_for_all_actions=True,
        is_active=True,
    )
    return "set the webhook's headers, so that its events are let in"


def _sampling(studio: LabelStudio, remote: Json, project: int, undo: Json) -> list[str]:
    done = []
    if remote["sampling"] != SAMPLING:
        undo.setdefault("sampling", remote["sampling"])
        studio.update_project(project, sampling=SAMPLING)
        done.append(f"set sampling to {SAMPLING!r} (was {remote['sampling']!r})")
    if not remote["show_collab_predictions"]:
        undo.setdefault("show_collab_predictions", False)
        studio.update_project(project, show_collab_predictions=True)
        done.append("turned on pre-annotations from predictions")
    if remote["min_annotations_to_start_training"]:
        undo.setdefault(
            "min_annotations_to_start_training", remote["min_annotations_to_start_training"]
        )
        studio.update_project(project, min_annotations_to_start_training=0)
        done.append("turned off Label Studio's own training trigger (it blocks annotators)")
    return done


def stamp_of(remote: Json) -> str:
    """Return when Label Studio made a project, as its /setup tells it; "" where it is not told."""
    made = remote.get("created_at")
    return str(int(datetime.fromisoformat(made).timestamp())) if made else ""


def _hidden(studio: LabelStudio, remote: Json, project: int, undo: Json) -> list[str]:
    """Tell which predictions are not shown any more: Label Studio shows those of one version."""
    old = remote["model_version"] or ""
    if old.startswith(publishing.PREFIX):
        return []
    if old:
        undo.setdefault("model_version", old)
    others = {
        name: count
        for name, count in studio.version_counts(project).items()
        if not name.startswith(publishing.PREFIX)
    }
    if not others:
        return []
    listed = ", ".join(f"{count} of {name!r}" for name, count in sorted(others.items()))
    return [f"hides other predictions while it is connected: {listed}"]
