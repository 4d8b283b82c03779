"""The loop that keeps every project in step: looks at each, starts what is due, watches it.

Webhooks only wake it up. What a round needs is read from Label Studio itself, so a lost, doubled
or late webhook, a crash or a restart changes nothing but the moment a round starts. Projects are
looked at side by side, and each has a circuit of its own: one that hangs or fails costs no other
anything. Where more rounds are due than may run, the project that waited longest comes first.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError

from backend.errors import EquipoiseError, UnusableCheckpoint
from backend.labelstudio.circuit import Circuits
from backend.predictions.served import Serving
from backend.queue.cleanup import Cleanup
from backend.rounds.due import Due
from backend.rounds.executor import Workers
from backend.rounds.look import Look
from backend.rounds.start import claim_round
from backend.settings import Settings
from backend.store import disk
from backend.store.store import Store, effective
from backend.store.tables import Kind, Project, Round, State
from model.cache import FeatureCache

log = structlog.get_logger(__name__)
_DEBOUNCE = 0.5
_SIDE_BY_SIDE = 8
_FRESH = 5.0
"""Seconds after which what was found due is looked at again before it starts."""


class Reconciler:
    """Starts rounds, watches their processes, repairs what Label Studio shows."""

    def __init__(self, store: Store, settings: Settings, serving: Serving) -> None:
        """Prepare; `start` starts the thread."""
        self._store = store
        self._settings = settings
        self._serving = serving
        self.circuits = Circuits()
        self._stop = threading.Event()
        self._look = Look(store, settings, self.circuits, self._stop)
        self._workers = Workers(store, settings)
        self._cleanup = Cleanup(store, settings, self.circuits)
        self._looking: dict[int, Future[Due | None]] = {}
        self._again: set[int] = set()
        self._due: dict[int, tuple[float, Due]] = {}
        self._trouble = False
        self._problems: dict[int, str] = {}
        self._unreadable: set[str] = set()
        self._wake = threading.Event()
        self._everything = threading.Event()
        self._pool = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="look")
        self._thread = threading.Thread(target=self._loop, name="reconciler", daemon=True)

    def start(self) -> None:
        """Start the loop in its own thread."""
        self._thread.start()
        self._cleanup.start()

    def wake(self, *, everything: bool = False) -> None:
        """Look now instead of at the next poll.

        Args:
            everything: look at every project as a poll does, not only where the store tells that
                a round may be due; a person waits for it.
        """
        if everything:
            self._everything.set()
        self._wake.set()

    def hint(self) -> None:
        """Note that Label Studio has called us: it is alive."""
        self.circuits.hint()

    def stop(self) -> None:
        """Stop the loop and the rounds it started; they start again after a restart."""
        self._stop.set()
        self._wake.set()
        self._workers.stop()  # first: no round starts from here on, whatever a look still finds
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._cleanup.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def cancel(self, project: int) -> Round | None:
        """Cancel the running round of a project, if any."""
        found = self._store.cancel(project)
        self._workers.cancel(project)
        return found

    # The loop

    def _loop(self) -> None:
        polled = -math.inf
        while not self._stop.is_set():
            self._wake.clear()
            late = time.monotonic() - polled >= self._settings.poll_seconds
            asked = self._everything.is_set()
            if asked:  # else one who asks just now would be forgotten
                self._everything.clear()
            self._trouble = False
            full = late or asked
            polled = time.monotonic() if full else polled
            try:
                self.turn(full=full, asked=asked)
            except Exception:  # a store that cannot be read or written now may be later
                self._trouble = True
                log.exception("look failed")
            # A running worker is watched closely; its end must not wait for the next poll.
            close = (self._workers or self._looking) and not self._trouble
            self._wake.wait(0.5 if close else self._settings.poll_seconds)
            # Events come in bursts; Label Studio is asked once for all of them.
            self._stop.wait(_DEBOUNCE)

    def turn(self, *, full: bool, asked: bool = False) -> None:
        """Do what can be done now, without waiting for Label Studio.

        Args:
            full: look at every project, not only where the store tells that a round may be due.
            asked: somebody waits for that: a look that has begun before may have seen too little.
        """
        for owner in self._store.projects():
            if self._stop.is_set():
                return
            with self._noted(owner.id):
                self._step(owner, full, asked)
        self._start_due()
        self._workers.prepare()

    def _step(self, owner: Project, full: bool, asked: bool) -> None:
        self._reap(owner.id)
        self._collect(owner.id)
        if asked and owner.id in self._looking:
            self._again.add(owner.id)
        trial = self.circuits.of(owner.id)
        again = trial.is_open and not trial.waits  # the trial of an open circuit
        if full or again or owner.id in self._again or self._may_be_due(owner):
            self._begin_look(owner.id)

    def _may_be_due(self, owner: Project) -> bool:
        """Tell from the store alone whether a look between two polls is worth a request."""
        if owner.id in self._workers or not owner.connected:
            return False
        if owner.requested or owner.id in self._due:
            return True
        if owner.current is None:
            return owner.changes > 0
        wanted = effective(self._settings, owner).retrain_after
        return owner.new_labels + owner.changes >= wanted

    def _begin_look(self, project: int) -> None:
        busy = project in self._looking or project in self._workers
        due = self._due.get(project)
        fresh = due is not None and time.monotonic() - due[0] < _FRESH
        if busy or fresh or (due is not None and not self._workers.free):
            return
        self._again.discard(project)
        self._looking[project] = self._pool.submit(self.look, project)
        self._looking[project].add_done_callback(lambda _: self._wake.set())

    def _collect(self, project: int) -> None:
        """Take what a look has found, once it is done."""
        looking = self._looking.get(project)
        if looking is None or not looking.done():
            return
        del self._looking[project]
        self._due.pop(project, None)
        found = None if looking.cancelled() else looking.result()
        if found is not None:
            self._due[project] = (time.monotonic(), found)

    def _start_due(self) -> None:
        """Start what was found due, the project that waited longest for a round first."""
        waiting = [p for p, (at, _) in self._due.items() if time.monotonic() - at < _FRESH]
        for project in sorted(waiting, key=self._last_started):
            if not self._workers.free:
                return
            with self._noted(project):
                self._start(project, self._due.pop(project)[1])

    def _last_started(self, project: int) -> float:
        rounds = self._store.rounds(project)
        return rounds[-1].started if rounds else 0.0

    def _start(self, project: int, due: Due) -> None:
        claim = claim_round(self._store, self._settings, project, due)
        if claim is None:
            return
        if not self._workers.start(project, claim):
            self._store.finish(claim, State.INTERRUPTED, "The server was stopped.")

    # One project

    def look(self, project: int) -> Due | None:
        """Look at one project; what goes wrong is noted, and tried again at the next look."""
        with self._noted(project):
            if self._store.running(project) is not None:
                return None
            if self.circuits.of(project).waits:  # what is noted already tells of it
                return None
            buried = self._store.bury(project)
            if self._warm(project) or buried:  # another server's round is pruned here, too
                self._store.prune_files(project, self._settings.keep_rounds)
            return self._look(project)
        return None

    @contextmanager
    def _noted(self, project: int) -> Iterator[None]:
        """Note what goes wrong with one project, which must cost no other one anything."""
        try:
            yield
        except EquipoiseError as error:
            self._note(project, str(error))
        except Exception as error:
            self._trouble = True
            if not disk.is_full(error):
                log.exception("look failed", project=project)
            self._note(project, f"{type(error).__name__}: {error}"[:500])

    def _note(self, project: int, problem: str) -> None:
        fresh = self._problems.get(project) != problem
        if fresh:
            log.warning("problem", project=project, reason=problem)
        self._problems[project] = problem
        try:
            if self._store.project(project).problem != problem:
                self._store.save_project(project, problem=problem)
        except SQLAlchemyError as error:  # on a full disk it stands in the log and in /metrics
            if fresh:
                log.warning("problem not stored", project=project, reason=str(error)[:200])

    def _reap(self, project: int) -> None:
        if project not in self._workers:
            return
        reason = self._workers.ended(project)
        if reason is None:
            return
        self._store.finish(self._workers.claim(project), State.FAILED, reason)
        self._workers.forget(project)  # only now: on a full disk the next turn tries again
        self.wake(everything=True)  # others may have waited for it
        self._warm(project)
        self._store.prune_files(project, self._settings.keep_rounds)
        FeatureCache(self._settings.cache).prune(self._settings.cache_bytes)
        self._cleanup.wake()

    def _warm(self, project: int) -> bool:
        """Load what serves before somebody waits for it; train again what cannot be loaded.

        Returns:
            Whether another version serves since.
        """
        try:
            return self._serving.warm(project)
        except UnusableCheckpoint as error:
            current = self._store.current(project)
            if current is not None and current.checkpoint not in self._unreadable:
                self._unreadable.add(current.checkpoint)
                log.warning("checkpoint cannot be read", project=project, reason=str(error))
                self._store.request(project, Kind.TRAIN, f"no usable checkpoint: {error}"[:300])
        return False
