"""Old versions in Label Studio: their predictions are deleted between rounds, a few at a time."""

from __future__ import annotations

import threading
import time

from backend.errors import Busy
from backend.labelstudio.client import LabelStudio
from backend.queue import publish as publishing
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Round, State

_SECONDS = 5.0
_PILE = 2
"""Superfluous versions in Label Studio beyond which the next round waits."""


class OldVersions:
    """Keeps the newest `keep_versions` versions of every project, and the one that serves."""

    def __init__(self, store: Store, settings: Settings, stop: threading.Event) -> None:
        """Prepare; once `stop` is set nothing more is deleted."""
        self._store = store
        self._settings = settings
        self._stop = stop
        self._cleaned: dict[int, str] = {}

    def piled_up(self, studio: LabelStudio, project: int) -> bool:
        """Tell whether old versions have to go first; else rounds in a row would never let them."""
        current = self._store.current(project)
        if current is None:
            return False
        kept, stored = self._kept(current), studio.version_counts(project)
        piled = sum(n.startswith(publishing.PREFIX) and n not in kept for n in stored) > _PILE
        if piled:  # versions of rounds that failed may have come since it was cleaned
            self._cleaned.pop(project, None)
        return piled

    def tidy(self, studio: LabelStudio, project: int) -> None:
        """Delete what is superfluous for some seconds; done once per version that serves."""
        current = self._store.current(project)
        if current is None or self._cleaned.get(project) == current.version:
            return
        try:
            # Alone, because a rollback may be completing a version that looks superfluous here.
            with self._store.alone(project, wait=0.0):
                self._delete(studio, project)
        except Busy:
            return

    def _delete(self, studio: LabelStudio, project: int) -> None:
        current = self._store.current(project)
        if current is None:
            return
        kept = self._kept(current)
        end = time.monotonic() + _SECONDS
        publishing.delete_versions(
            studio,
            project,
            lambda name: name not in kept,
            pause=0.05,
            go_on=lambda: not self._stop.is_set() and time.monotonic() < end,
        )
        if time.monotonic() < end:
            self._cleaned[project] = current.version

    def _kept(self, current: Round) -> set[str]:
        rounds = self._store.rounds(current.project)
        done = [found.version for found in rounds if found.state == State.DONE]
        return {current.version, *done[-self._settings.keep_versions :]}
