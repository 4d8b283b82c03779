"""After a round: old versions' predictions are deleted and tabs renewed, and no round waits for it.

Label Studio deletes one prediction in about a tenth of a second, and its bulk call holds the
database for so long that annotators' submissions fail. So a thread of its own deletes a few, looks
at the next project, and comes back, for as long as there is something superfluous.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog

from backend.errors import EquipoiseError, LabelStudioError
from backend.labelstudio.circuit import Circuits
from backend.labelstudio.client import LabelStudio
from backend.queue import publish
from backend.queue.lists import keep_tabs
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Project, State

Found = TypeVar("Found")
log = structlog.get_logger(__name__)
_TOGETHER = 50
_PAUSE = 0.05
_REST = 60.0
"""Seconds until projects that had nothing to delete are looked at again without `wake`."""


class Cleanup:
    """Keeps the newest `keep_versions` versions of every project, and the one that serves."""

    def __init__(self, store: Store, settings: Settings, circuits: Circuits) -> None:
        """Prepare; `start` starts the thread."""
        self._store = store
        self._settings = settings
        self._circuits = circuits
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._clean: dict[int, tuple[int, str]] = {}
        self._tabs: dict[int, tuple[int, str]] = {}
        self._thread = threading.Thread(target=self._run, name="cleanup", daemon=True)

    def start(self) -> None:
        """Start deleting in a thread of its own."""
        self._thread.start()

    def wake(self) -> None:
        """Look now: a round has ended."""
        self._wake.set()

    def stop(self) -> None:
        """Stop after the deletion in hand."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            left = 0
            for owner in self._guarded(self._store.projects) or ():
                if self._stop.is_set():
                    return
                left += self._guarded(partial(self.tidy, owner)) or 0
            if not left:
                self._wake.wait(_REST)

    def _guarded(self, work: Callable[[], Found]) -> Found | None:
        """Do one thing; what fails now is tried again in a later turn."""
        try:
            return work()
        except EquipoiseError as error:
            log.info("clean-up waits", reason=str(error)[:200])
        except Exception as error:
            log.warning("clean-up failed", error=type(error).__name__, reason=str(error)[:200])
        return None

    def tidy(self, owner: Project) -> int:
        """Delete some of what is superfluous in one project.

        Returns:
            How many predictions are left to delete.
        """
        rounds = self._store.rounds(owner.id)
        newest = (rounds[-1].id, rounds[-1].state) if rounds else (0, "")
        done = self._clean.get(owner.id) == newest == self._tabs.get(owner.id)
        if not owner.connected or owner.current is None or done:
            return 0
        circuit = self._circuits.of(owner.id)
        if circuit.waits:
            return 0
        with LabelStudio.of(self._settings, circuit=circuit) as studio:
            if self._tabs.get(owner.id) != newest and self._keep_tabs(studio, owner.id):
                self._tabs[owner.id] = newest
            left = self._delete_some(studio, owner.id)
        if left != owner.cleaning:
            self._store.save_project(owner.id, cleaning=left)
        if not left:
            self._clean[owner.id] = newest
        return left

    def _keep_tabs(self, studio: LabelStudio, project: int) -> bool:
        """Renew the tabs; False where that is tried again later. What is deleted waits for none."""
        try:
            with self._store.alone(project, wait=0.0):
                keep_tabs(studio, self._store, self._settings, project)
        except EquipoiseError as error:
            log.info("tabs wait", project=project, reason=str(error)[:200])
            return False
        return True

    def _delete_some(self, studio: LabelStudio, project: int) -> int:
        # Alone, because a rollback may be completing a version that looks superfluous here.
        with self._store.alone(project, wait=0.0):
            doomed = self._superfluous(studio, project)
            if not doomed:
                return 0
            oldest = min(doomed)
            gone = publish.delete_version(
                studio,
                project,
                oldest,
                most=_TOGETHER,
                pause=_PAUSE,
                go_on=lambda: not self._stop.is_set(),
            )
        if not gone and not self._stop.is_set():
            raise LabelStudioError(f"Label Studio counts predictions of {oldest} and lists none.")
        return sum(doomed.values()) - gone

    def _superfluous(self, studio: LabelStudio, project: int) -> dict[str, int]:
        """Return how many predictions each version has that neither serves nor is kept."""
        rounds = self._store.rounds(project)
        current = self._store.current(project)
        done = [found.version for found in rounds if found.state == State.DONE]
        kept = set(done[-self._settings.keep_versions :])
        kept |= {found.version for found in rounds if found.state == State.RUNNING}
        kept |= {current.version} if current is not None else set()
        ours = publish.our_versions(studio, project)
        return {name: count for name, count in ours.items() if name not in kept and count}
