"""Which tasks the tabs "look again" and "safe to accept" name, kept as it is now."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from backend.errors import EquipoiseError, LabelStudioError
from backend.labelstudio.client import LabelStudio
from backend.queue.acceptable import ERROR
from backend.queue.offers import acceptable
from backend.queue.tab import AGAIN, MOST, SAFE, name_tasks
from backend.settings import Settings
from backend.store import judgements
from backend.store.store import Store


def keep_tabs(studio: LabelStudio, store: Store, settings: Settings, project: int) -> None:
    """Bring both tabs up to date, or take them away where nothing belongs in them.

    Raises:
        LabelStudioError: Label Studio does not answer, or refuses a tab.
    """
    name_tasks(studio, project, AGAIN, again(store, project))
    name_tasks(studio, project, SAFE, safe(studio, store, settings, project))


def again(store: Store, project: int) -> list[int]:
    """Return the tasks whose labels are likely wrong, the worst first, at most MOST."""
    current = store.current(project)
    table = judgements.load(store, current.checkpoint) if current is not None else None
    if table is None:
        return []
    suspect = table.filter(table.column("suspect"))
    order = pc.sort_indices(suspect, [("quality", "ascending"), ("task", "ascending")])
    return list(dict.fromkeys(suspect.take(order).column("task").to_pylist()))[:MOST]


def safe(studio: LabelStudio, store: Store, settings: Settings, project: int) -> list[int]:
    """Return some of the tasks that may be accepted, from the surest to the least sure of them."""
    current = store.current(project)
    if current is None or not current.measured.get("accept", {}).get("tasks"):
        return []  # as the round itself found: Label Studio need not be asked
    try:
        found = acceptable(studio, store, settings, project, ERROR)
    except LabelStudioError:
        raise
    except EquipoiseError:  # the label config has changed since
        return []
    return spread(list(found.answers), MOST)


def spread(tasks: Sequence[int], count: int) -> list[int]:
    """Return some of a list at equal distances, the first and the last among them."""
    if len(tasks) <= count:
        return list(tasks)
    return [tasks[place * (len(tasks) - 1) // (count - 1)] for place in range(count)]
