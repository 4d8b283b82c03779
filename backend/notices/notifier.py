"""Looks at every project now and then, and tells what is new, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import structlog

from backend.errors import Busy, EquipoiseError
from backend.labelstudio.circuit import Circuits
from backend.labelstudio.client import LabelStudio
from backend.notices.delivery import NotDelivered, deliver, message
from backend.notices.events import Event, events, fresh, still
from backend.queue.doctor import examine
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Project

log = structlog.get_logger(__name__)
_LOOK = 300.0
"""Seconds between two looks at a queue: each asks Label Studio six things."""
_FIRST, _LONGEST = 15.0, 3600.0
"""Seconds until what was not taken is sent again: doubled each time."""


class Notifier:
    """Tells each event once for each cause; what was told is kept in the store."""

    def __init__(self, store: Store, settings: Settings, circuits: Circuits) -> None:
        """Prepare; `start` starts the thread."""
        self._store = store
        self._settings = settings
        self.circuits = circuits
        self._looked: dict[int, float] = {}
        self._failing: dict[int, frozenset[str]] = {}
        self._lost: dict[int, tuple[str, ...]] = {}
        self._tries: dict[tuple[int, str, str], int] = {}
        self._later: dict[tuple[int, str, str], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Start, where somebody is to be told."""
        if self._settings.notify_url is not None:
            self._thread.start()

    def stop(self) -> None:
        """Stop; a request in hand is left to end by itself."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.turn()
            self._stop.wait(self._settings.poll_seconds)

    def turn(self) -> None:
        """Look at every project once; what fails now is tried again in a later turn."""
        try:
            for owner in self._store.projects():
                if owner.connected and not self._stop.is_set():
                    self._of(owner)
        except Exception as error:  # a store that cannot be read now may be later
            log.warning("notices wait", error=type(error).__name__)

    def _of(self, owner: Project) -> None:
        now = events(self._store, owner.id, self._queue(owner.id))
        new = [event for event in fresh(now, owner.told) if self._is_due(owner.id, event)]
        kept = still(now, owner.told)
        if not new and kept == owner.told:
            return
        try:
            with self._store.alone(owner.id, wait=0.0):  # of several servers one tells
                told = still(now, self._store.project(owner.id).told)
                for event in fresh(now, told):
                    if event in new and self._send(owner, event):
                        told[event.name] = event.cause
                self._store.save_project(owner.id, told=told)
        except Busy:
            return

    def _is_due(self, project: int, event: Event) -> bool:
        return time.monotonic() >= self._later.get((project, event.name, event.cause), 0.0)

    def _send(self, owner: Project, event: Event) -> bool:
        """Tell one thing; False: it is told again later."""
        key = (owner.id, event.name, event.cause)
        try:
            deliver(self._settings, message(self._settings, owner.id, owner.title, event))
        except NotDelivered as error:
            log.warning("not told", project=owner.id, notice=event.name, reason=str(error))
            if not error.passing:
                return True  # it will be refused again: `equipoise notify --test` says why
            tries = self._tries[key] = self._tries.get(key, 0) + 1
            self._later[key] = time.monotonic() + min(_FIRST * 2 ** (tries - 1), _LONGEST)
            return False
        self._tries.pop(key, None)
        log.info("told", project=owner.id, notice=event.name)
        return True

    def _queue(self, project: int) -> Sequence[str]:
        """Return which checks fail, once two looks in a row have found the same.

        Between the steps of a round one may fail for a moment; while Label Studio does not answer,
        what was last found holds.
        """
        due = time.monotonic() - self._looked.get(project, -_LOOK) >= _LOOK
        circuit = self.circuits.of(project)
        if due and not circuit.waits and self._store.current(project) is not None:
            self._looked[project] = time.monotonic()
            failing = self._look(project)
            if failing is not None:
                before = self._failing.get(project, frozenset())
                self._failing[project] = failing
                self._lost[project] = tuple(sorted(failing & before))
        return self._lost.get(project, ())

    def _look(self, project: int) -> frozenset[str] | None:
        circuit = self.circuits.of(project)
        try:
            with LabelStudio.of(self._settings, timeout=30.0, circuit=circuit) as studio:
                checks = examine(studio, self._store, self._settings, project, labels=False)
        except EquipoiseError as error:
            log.info("queue not looked at", project=project, reason=str(error)[:200])
            return None
        if not checks[0].ok:
            return None  # Label Studio does not answer: nothing is known of the queue
        return frozenset(check.name for check in checks if not check.ok and not check.warning)
