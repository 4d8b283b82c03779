"""Is the queue served in our order? What was last found out, and when."""

from __future__ import annotations

import threading
import time
from typing import Any

from backend.labelstudio.client import LabelStudio
from backend.queue.doctor import examine
from backend.queue.facts import Check
from backend.settings import Settings
from backend.store.store import Store

_PAUSE = 10.0
"""Seconds in which a second check is answered by the first: each asks Label Studio a lot."""


class Verdicts:
    """What `doctor` has found for each project; kept in memory. Thread-safe."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Start without any."""
        self._store = store
        self._settings = settings
        self._found: dict[int, tuple[float, list[Check]]] = {}
        self._lock = threading.Lock()

    def check(self, project: int) -> None:
        """Ask Label Studio, unless that has just been done."""
        self._store.project(project)
        with self._lock:
            at, _ = self._found.get(project, (-_PAUSE, []))
            if time.time() - at < _PAUSE:
                return
            with LabelStudio.of(self._settings, timeout=30.0) as studio:
                checks = examine(studio, self._store, self._settings, project)
            self._found[project] = (time.time(), checks)

    def of(self, project: int, state: dict[str, Any]) -> dict[str, Any]:
        """Return the verdict: mood (good, wrong, unsure), text, failed checks and when."""
        at, checks = self._found.get(project, (0.0, []))
        failed = [check for check in checks if not check.ok and not check.warning]
        when = f"Asked {_ago(time.time() - at)} ago." if checks else "Not asked since the start."
        if failed:
            text = "No: the queue is not served in this order, or will not be for long."
            return {"mood": "wrong", "text": text, "failed": failed, "when": when}
        if not state["connected"] or state["version"] is None:
            text = "Not yet: there is no order to serve."
        elif state["state"] == "announcing":
            text = "Not yet: Label Studio has not been told of the newest order."
        elif checks:
            text = "Yes: Label Studio serves the queue in this order."
            return {"mood": "good", "text": text, "failed": [], "when": when}
        else:
            text = "Label Studio was told this order; whether it still follows it was not asked."
        return {"mood": "unsure", "text": text, "failed": [], "when": when}


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
