"""Accepting on the page: what would be accepted is shown first, and done as the command does it."""

from __future__ import annotations

import math
from typing import Any

from backend.errors import EquipoiseError
from backend.labelstudio.client import LabelStudio
from backend.page.errands import Tell
from backend.queue import accept as accepting
from backend.queue.acceptable import LARGEST, SMALLEST, Offer
from backend.queue.lists import keep_tabs, spread
from backend.queue.offers import acceptable
from backend.settings import Settings
from backend.store.store import Store

Json = dict[str, Any]
ERRORS = (0.01, 0.02, 0.05, 0.1)
_EXAMPLES = 10


def allowed(text: str) -> float:
    """Read a share of wrong ones that is allowed.

    Raises:
        EquipoiseError: it is none.
    """
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not SMALLEST <= share <= LARGEST:
        raise EquipoiseError(f"Allow a share of {SMALLEST:g} to {LARGEST:g} to be wrong.")
    return share


def look(store: Store, settings: Settings, project: int, error: float) -> Json:
    """Return what would be accepted, without doing it: `offer`, `to` and some `tasks` of it."""
    with LabelStudio.of(settings) as studio:
        found = acceptable(studio, store, settings, project, error)
    return {"offer": found.to_json(), "to": meant(found), "tasks": _some(found, settings, project)}


def meant(found: Offer) -> str:
    """Return what a form says of an offer, so that no other one is accepted by it."""
    return f"{found.error:g} {found.version}" if found.answers else ""


def _some(found: Offer, settings: Settings, project: int) -> list[Json]:
    base = settings.label_studio_url.rstrip("/")
    return [
        {
            "task": task,
            "answer": found.answers[task],
            "url": f"{base}/projects/{project}/data?task={task}",
        }
        for task in spread(list(found.answers), _EXAMPLES)
    ]


def accept(store: Store, settings: Settings, project: int, to: str, tell: Tell) -> str:
    """Write what an offer holds; `to` is what `meant` said of it.

    Raises:
        EquipoiseError: another round serves by now, or nothing can be accepted any more.
    """
    text, _, version = to.partition(" ")
    error = allowed(text)
    with LabelStudio.of(settings) as studio:
        found = acceptable(studio, store, settings, project, error)
        if found.version != version:
            raise EquipoiseError(
                f"{version} was looked at, and now {found.version} serves: look again at what may "
                "be accepted."
            )
        written = accepting.accept(studio, store, project, found, tell)
        keep_tabs(studio, store, settings, project)
    return f"Wrote {written:,} annotations. Nothing learns from them, and they can be taken back."


def undo(store: Store, settings: Settings, project: int, tell: Tell) -> str:
    """Take back what was accepted and nobody has touched since."""
    with LabelStudio.of(settings) as studio:
        gone = accepting.undo(studio, store, project, tell)
        keep_tabs(studio, store, settings, project)
    return f"Took back {gone:,} annotations; those that somebody has touched stay."
