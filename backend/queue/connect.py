"""Connecting a Label Studio project to this backend, and taking it back."""

from __future__ import annotations

from typing import Any

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.queue import publish as publishing
from backend.queue.fitting import strategy_for
from backend.settings import SECRET_HEADER, Settings
from backend.store.store import INITIAL_VERSION, Store

Json = dict[str, Any]
SAMPLING = "Uncertainty sampling"
TAB = "Equipoise: label first"
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
    if known is not None:
        strategy_for(settings, known, config)
    undo: Json = dict(known.undo) if known else {}
    done = [f"{config.level}: {config.sentence}"]
    done += [f"ignores {note}" for note in config.ignored]
    store.save_project(project, title=remote["title"], label_config=remote["label_config"])
    current = store.current(project)
    version = current.version if current else INITIAL_VERSION
    backend, line = _backend(studio, settings, project, version)
    done.append(line)
    done.append(_webhook(studio, settings, project))
    done += _sampling(studio, remote, project, undo)
    done.append(_tab(studio, project))
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


def _our_tabs(studio: LabelStudio, project: int) -> list[int]:
    return [int(tab["id"]) for tab in studio.tabs(project) if tab["data"].get("title") == TAB]


def _tab(studio: LabelStudio, project: int) -> str:
    ours = _our_tabs(studio, project)
    for double in ours[1:]:
        studio.delete_tab(double, project)
    if ours:
        return f"found the tab {TAB!r}"
    studio.create_tab(
        project,
        {
            "title": TAB,
            "ordering": ["tasks:predictions_score"],
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
        },
    )
    return f"created the tab {TAB!r}, in the order of the queue"


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
    done = []
    for row in studio.backends(project):
        if row["url"].rstrip("/") == settings.url:
            studio.delete_backend(int(row["id"]))
            done.append("removed the backend")
    for hook in studio.webhooks(project):
        if hook["url"].rstrip("/") == f"{settings.url}/webhook":
            studio.delete_webhook(int(hook["id"]))
            done.append("removed the webhook")
    for tab in _our_tabs(studio, project):
        studio.delete_tab(tab, project)
        done.append(f"removed the tab {TAB!r}")
    undo = dict(owner.undo)
    if undo:
        studio.update_project(project, **undo)
        done.append(f"restored {', '.join(f'{k}={v!r}' for k, v in undo.items())}")
    if predictions:
        versions = publishing.our_versions(studio, project)
        gone = sum(publishing.delete_version(studio, project, name) for name in versions)
        done.append(f"deleted {gone} predictions")
    store.cancel(project)
    store.save_project(
        project, connected=False, backend_id=None, undo={}, announced="", requested={}
    )
    return done
