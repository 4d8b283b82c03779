"""What `connect` and `doctor` say about a project's media, before a round has to read them."""

from __future__ import annotations

from backend.errors import EquipoiseError
from backend.labelstudio.client import LabelStudio
from backend.media.readable import TASKS, readable
from backend.queue.facts import Check
from backend.settings import Settings
from backend.store.store import Store, effective
from model.presets import preset


def media_checks(
    studio: LabelStudio, store: Store, settings: Settings, project: int
) -> list[Check]:
    """Fetch and decode some of a project's tasks.

    Returns:
        One Check per modality: how many values could be read, and why the others could not.
    """
    text = studio.project(project)["label_config"]
    tasks = studio.some_tasks(project, TASKS)
    if not tasks:
        return [Check("media", True, "no tasks yet")]
    try:
        options = effective(settings, store.project(project))
        found = readable(
            project, tasks, text, preset(options.preset, **options.overrides).preparation
        )
    except EquipoiseError as error:
        return [Check("media", False, str(error), "see docs/operations.md, 'absent media'")]
    return [
        Check(
            f"{one.modality} in {one.of} tasks",
            one.read == one.of,
            str(one),
            "mend what the reason names; a round leaves out what it cannot read",
            warning=one.read > 0,
        )
        for one in found
    ]
