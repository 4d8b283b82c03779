"""What is worth telling of a project now, from the store and what was found of its queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.rounds.agreement import of_project
from backend.store.store import Store
from backend.store.tables import Round, State

NAMES = ("round_failed", "queue_lost", "flattened", "acceptable")


@dataclass(frozen=True)
class Event:
    """One thing to tell.

    Attributes:
        name: of NAMES.
        cause: what it is told once for; another cause is another event.
        text: for people.
    """

    name: str
    cause: str
    text: str


def events(store: Store, project: int, lost: Sequence[str]) -> dict[str, Event]:
    """Return what holds now, by name.

    Args:
        store: the store.
        project: project id.
        lost: checks of `doctor` that failed; () if none did.
    """
    rounds, current = store.rounds(project), store.current(project)
    found = [_failed(rounds), _lost(lost), _flattened(store, project), _acceptable(current)]
    return {event.name: event for event in found if event is not None}


def fresh(now: Mapping[str, Event], told: Mapping[str, str]) -> list[Event]:
    """Return what holds and was not told."""
    return [event for name, event in now.items() if told.get(name) != event.cause]


def still(now: Mapping[str, Event], told: Mapping[str, str]) -> dict[str, str]:
    """Return what was told and holds; what ended may come again, and is told again then."""
    return {name: cause for name, cause in told.items() if name in now}


def _failed(rounds: Sequence[Round]) -> Event | None:
    """A round that failed is tried again: it is one event while the reason is the same."""
    ended = [found for found in rounds if found.state in (State.DONE, State.FAILED)]
    if not ended or ended[-1].state == State.DONE:
        return None
    last = ended[-1]
    return Event("round_failed", last.error[:300], f"A round failed: {last.error[:1000]}")


def _lost(lost: Sequence[str]) -> Event | None:
    if not lost:
        return None
    named = ", ".join(sorted(lost))
    text = f"Label Studio does not serve the queue in this order any more, or not for long: {named}"
    return Event("queue_lost", named, f"{text}. `equipoise doctor` says what mends it.")


def _flattened(store: Store, project: int) -> Event | None:
    found = of_project(store, project)
    return Event("flattened", "flattened", found["text"]) if found.get("flattened") else None


def _acceptable(current: Round | None) -> Event | None:
    found = current.measured.get("accept", {}) if current is not None else {}
    if not found.get("tasks"):
        return None
    said = found["sentence"]
    return Event("acceptable", f"{found['error']:g}", f"{said[:1].upper()}{said[1:]}.")
