"""`equipoise doctor`: asks once, then looks at every condition of checks.py."""

from __future__ import annotations

from typing import Any

from backend.errors import EquipoiseError, LabelStudioError
from backend.labelstudio.annotations import Answers, read_tasks
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.queue.checks import CHECKS, understood
from backend.queue.facts import Check, Facts
from backend.settings import Settings
from backend.store.store import Store

Json = dict[str, Any]


def examine(
    studio: LabelStudio, store: Store, settings: Settings, project: int, *, labels: bool = True
) -> list[Check]:
    """Check everything; each check is independent of the others.

    Args:
        studio: Label Studio.
        store: the store.
        settings: the settings.
        project: project id.
        labels: read all annotations, too, which takes long in a large project; without them it is
            not checked whether they are understood.

    Returns:
        One Check per condition, in the order in which they are best mended.
    """
    try:
        remote = studio.project(project)
    except LabelStudioError as error:
        return [Check("Label Studio answers", False, str(error), "mend URL or token first")]
    owner = next((p for p in store.projects() if p.id == project), None)
    facts = Facts(
        remote,
        studio.backends(project),
        studio.webhooks(project),
        studio.tabs(project),
        studio.version_counts(project),
        owner,
        store.current(project),
        settings,
        project,
        _answers(studio, remote) if labels else None,
    )
    checks = [Check("Label Studio answers", True, f"project {remote['title']!r}")]
    return checks + [check(facts) for check in CHECKS if labels or check is not understood]


def _answers(studio: LabelStudio, remote: Json) -> Answers | None:
    """Read what annotators said; None where the label config cannot be read."""
    try:
        config = parse(remote["label_config"])
    except EquipoiseError:
        return None
    return read_tasks(studio.annotated(int(remote["id"])), config)
