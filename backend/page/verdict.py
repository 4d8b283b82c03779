"""Is the queue served in our order? What was last found out, and when."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import structlog

from backend.errors import EquipoiseError
from backend.labelstudio.client import LabelStudio
from backend.queue.doctor import examine
from backend.queue.facts import Check
from backend.settings import Settings
from backend.store.store import Store

log = structlog.get_logger(__name__)
_PAUSE = 10.0
"""Seconds in which a second check is answered by the first: each asks Label Studio a lot."""
_FRESH = 600.0
"""Seconds for which nobody who looks at the page has Label Studio asked again."""


@dataclass(frozen=True)
class Answer:
    """What `doctor` found.

    Attributes:
        at: when it was asked.
        version: the order that served then.
        checks: what it found.
    """

    at: float
    version: str | None
    checks: list[Check]


class Verdicts:
    """What `doctor` has found for each project; kept in memory. Thread-safe."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Start without any."""
        self._store = store
        self._settings = settings
        self._found: dict[int, Answer] = {}
        self._asking: set[int] = set()
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def check(self, project: int) -> None:
        """Ask Label Studio everything, unless that has just been done."""
        self._store.project(project)
        with self._turn:
            last = self._found.get(project)
            if last is None or time.time() - last.at >= _PAUSE:
                current = self._store.current(project)
                self._ask(project, current.version if current is not None else None, labels=True)

    def keep_fresh(self, project: int, state: dict[str, Any]) -> threading.Thread | None:
        """Have Label Studio asked meanwhile where the last answer is old, or of another order.

        What annotators said is not read for that. Returns the thread that asks, if one was started.
        """
        last = self._found.get(project)
        known = last is not None and last.version == state["version"]
        if known and last is not None and time.time() - last.at < _FRESH:
            return None
        if not state["connected"] or state["version"] is None or state["state"] == "announcing":
            return None
        with self._lock:
            if project in self._asking:
                return None
            self._asking.add(project)
        given = (project, state["version"])
        asks = threading.Thread(target=self._meanwhile, args=given, name="verdict", daemon=True)
        asks.start()
        return asks

    def _meanwhile(self, project: int, version: str) -> None:
        try:
            self._ask(project, version, labels=False)
        except Exception as error:  # nobody waits for it: it is said on the page
            if not isinstance(error, EquipoiseError):
                log.exception("verdict failed", project=project)
            failed = Check("doctor", False, str(error)[:300], "run `equipoise doctor`")
            self._found[project] = Answer(time.time(), version, [failed])
        finally:
            with self._lock:
                self._asking.discard(project)

    def _ask(self, project: int, version: str | None, *, labels: bool) -> None:
        with LabelStudio.of(self._settings, timeout=30.0) as studio:
            checks = examine(studio, self._store, self._settings, project, labels=labels)
        self._found[project] = Answer(time.time(), version, checks)

    def forget(self, project: int) -> None:
        """Have Label Studio asked at the next look: something was done about it."""
        self._found.pop(project, None)

    def of(self, project: int, state: dict[str, Any]) -> dict[str, Any]:
        """Return the verdict.

        Returns:
            `mood` (good, wrong, unsure), `text`, `failed` checks, `when`, whether `connecting`
            again mends one of them, and `asking`: whether Label Studio is being asked just now.
        """
        last = self._found.get(project)
        if last is not None and last.version != state["version"]:
            last = None  # what was found of another order says nothing of this one
        asking = project in self._asking
        failed = [c for c in last.checks if not c.ok and not c.warning] if last else []
        when = f"Asked {_ago(time.time() - last.at)} ago." if last else ""
        mood = "unsure"
        if failed:
            mood = "wrong"
            text = "No: the queue is not served in this order, or will not be for long."
        elif not state["connected"] or state["version"] is None:
            text = "Not yet: there is no order to serve."
        elif state["state"] == "announcing":
            text = "Not yet: Label Studio has not been told of the newest order."
        elif last:
            mood, text = "good", "Yes: Label Studio serves the queue in this order."
        else:
            text = "Label Studio was told this order, and is being asked whether it follows it."
        return {
            "mood": mood,
            "text": text,
            "failed": failed,
            "when": when,
            "connecting": any(check.by_connecting for check in failed),
            "asking": asking,
        }


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
