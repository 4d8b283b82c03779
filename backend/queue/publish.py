"""Putting a ranking into Label Studio's queue: the one place that knows its direction.

Label Studio serves the LOWEST prediction score first, and only looks at predictions whose
version equals project.model_version. So every step keeps these rules:

1. All predictions of the new version are stored before anything names it.
2. project.model_version moves first, the backend's title after it. The other way round (the title
   moves both) works too, but then old versions could only be deleted by setting
   project.model_version to null for a moment, which means a random queue.
3. Old predictions are deleted one by one: the bulk call holds Label Studio's database for
   10 seconds per 1,000 predictions, in which annotators' submissions fail.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import structlog
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from backend.errors import LabelStudioError
from backend.labelstudio.answers import prediction_result
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import LabelConfig
from backend.labelstudio.connection import is_passing
from backend.settings import Settings
from backend.store.rankings import outputs_of

log = structlog.get_logger(__name__)
Json = dict[str, Any]
PREFIX = "equipoise-"
_PAUSE = 5.0
UNRANKED = 1.0
"""Queue score of a task that no round has ranked yet: behind all that are ranked."""


def predictions(
    table: pa.Table, config: LabelConfig, version: str, top: int, still_open: Collection[int]
) -> list[Json]:
    """Return the predictions to store for the first `top` tasks that are still open.

    Args:
        table: a ranking (backend.ranking).
        config: the label config whose controls are answered.
        version: the round's version.
        top: how many tasks are published.
        still_open: ids of tasks that exist and are not done.
    """
    mask = pc.is_in(table.column("task"), pa.array(list(still_open), type=pa.int64()))
    head = table.filter(mask).slice(0, top)
    outputs = outputs_of(head)
    tasks = head.column("task").to_pylist()
    scores = head.column("queue_score").to_pylist()
    return [
        {
            "task": task,
            "result": prediction_result(config, outputs, row, importable=True),
            "score": score,
            "model_version": version,
        }
        for row, (task, score) in enumerate(zip(tasks, scores, strict=True))
    ]


def publish(studio: LabelStudio, project: int, rows: Sequence[Json], version: str) -> int:
    """Store one version's predictions, whatever an earlier attempt left; tried twice.

    A connection that Label Studio, or a proxy before it, closes just then costs seconds and not the
    round. The pause lets a request end whose answer alone was lost, so that it is seen and undone.

    Returns:
        How many predictions the version has now: those of tasks that are still there.

    Raises:
        LabelStudioError: Label Studio dropped some of them or refused the request.
    """
    if not rows:
        return 0
    again = retry_if_exception(is_passing)
    for attempt in Retrying(
        stop=stop_after_attempt(2), wait=wait_fixed(_PAUSE), retry=again, reraise=True
    ):
        with attempt:
            # What is there is an attempt that died, or another store's: its order is not ours.
            if version in studio.version_counts(project):
                delete_version(studio, project, version)
            stored = _stored(studio, project, rows, version)
    return stored


def _stored(studio: LabelStudio, project: int, rows: Sequence[Json], version: str) -> int:
    """Store predictions; those whose answers Label Studio refuses keep their place without them.

    It checks answers against the label config, drops what does not pass and says so only by a
    count (or refuses all of them). An order without some answers is better than none. It refuses
    all of them, too, where one is of a task that was deleted meanwhile: that one is left out.
    """
    try:
        created = studio.import_predictions(project, list(rows))
    except LabelStudioError as error:
        if error.status != 400:
            raise
        left = _of_tasks_there(studio, project, rows)
        if len(left) < len(rows):
            log.warning("tasks are gone", project=project, tasks=len(rows) - len(left))
            return _stored(studio, project, left, version) if left else 0
        if not any(row["result"] for row in rows):
            raise
        created = 0
    if created == len(rows):
        return created
    there = {row["task"] for row in studio.predictions(project, version)}
    bare = [{**row, "result": []} for row in rows if row["task"] not in there]
    log.warning("answers refused", project=project, version=version, tasks=len(bare))
    created += studio.import_predictions(project, bare)
    if created != len(rows):
        raise LabelStudioError(
            f"Label Studio stored {created} of {len(rows)} predictions and said nothing about the "
            "rest, which hold no answer: are their tasks still there? The next round looks again."
        )
    return created


def _of_tasks_there(studio: LabelStudio, project: int, rows: Sequence[Json]) -> list[Json]:
    """Return the predictions of tasks that Label Studio still has."""
    pages = studio.these(project, [row["task"] for row in rows])
    there = {int(task["id"]) for page in pages for task in page}
    return [row for row in rows if row["task"] in there]


def complete(studio: LabelStudio, project: int, rows: Sequence[Json], version: str) -> int:
    """Store those of a version's predictions that Label Studio does not have any more.

    What it has is left alone while its scores are the version's, so that this may be repeated, and
    done to a version that serves.

    Returns:
        How many were stored.

    Raises:
        LabelStudioError: Label Studio dropped some of them or refused the request.
    """
    stored: dict[int, float] = {
        int(row["task"]): float(row["score"] if row["score"] is not None else -1.0)
        for row in studio.predictions(project, version)
    }
    if any(abs(stored.get(row["task"], row["score"]) - row["score"]) > 1e-6 for row in rows):
        return publish(studio, project, rows, version)  # they are another store's
    missing = [row for row in rows if row["task"] not in stored]
    if not missing:
        return 0
    return _stored(studio, project, missing, version)


def announce(
    studio: LabelStudio, settings: Settings, project: int, backend: int | None, version: str
) -> list[str]:
    """Make Label Studio serve `version`: project.model_version, then the backend's title.

    Safe to repeat. The version must have predictions, or be the backend's title already.

    Returns:
        What was changed, in plain words.
    """
    changed = []
    if studio.project(project, "model_version")["model_version"] != version:
        studio.update_project(project, model_version=version)
        changed.append(f"project.model_version = {version}")
    if backend is not None:
        _rename(studio, settings, project, backend, version)
        changed.append(f"backend title = {version}")
    now = studio.project(project, "model_version")["model_version"]
    if now != version:
        raise LabelStudioError(
            f"project.model_version is {now!r} although {version!r} was set: somebody else "
            "changes it. Equipoise sets it again at its next look."
        )
    return changed


def _rename(
    studio: LabelStudio, settings: Settings, project: int, backend: int, version: str
) -> None:
    """Change our backend's title; people may have deleted it, and added it again, by hand."""
    fields = {**settings.backend_fields, "title": version}
    try:
        studio.update_backend(backend, project, **fields)
        return
    except LabelStudioError as error:
        if error.status != 404:
            raise
    ours = [b for b in studio.backends(project) if b["url"].rstrip("/") == settings.url]
    if not ours:
        raise LabelStudioError(
            f"The backend {settings.url} was deleted in the settings of project {project}: run "
            f"`equipoise connect --project {project}` to add it again, or `equipoise disconnect`.",
            404,
        )
    studio.update_backend(int(ours[0]["id"]), project, **fields)


def our_versions(studio: LabelStudio, project: int) -> dict[str, int]:
    """Return how many predictions each version of this backend has; others' are left out."""
    counts = studio.version_counts(project)
    return {name: count for name, count in counts.items() if name.startswith(PREFIX)}


def delete_version(
    studio: LabelStudio,
    project: int,
    version: str,
    *,
    most: int | None = None,
    pause: float = 0.0,
    go_on: Callable[[], bool] = lambda: True,
) -> int:
    """Delete predictions of one version of this backend, one by one.

    Args:
        studio: Label Studio.
        project: project id.
        version: its name.
        most: how many to delete; None: all.
        pause: seconds between two deletions, so that annotators' requests come first.
        go_on: asked before each deletion; False stops, the rest goes next time.

    Returns:
        How many were deleted.

    Raises:
        ValueError: the version is not this backend's.
    """
    if not version.startswith(PREFIX):
        raise ValueError(f"{version!r} is not a version of Equipoise")
    # Listed before they are deleted, which would shift the pages.
    doomed = [int(row["id"]) for row in islice(studio.predictions(project, version), most)]
    for deleted, prediction in enumerate(doomed):
        if not go_on():
            return deleted
        studio.delete_prediction(prediction)
        time.sleep(pause)
    return len(doomed)
