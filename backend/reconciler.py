"""The loop that keeps every project in step: compares Label Studio with the last round.

Webhooks only wake it up. What a round needs is read from Label Studio itself, so a lost, doubled
or late webhook, a crash or a restart changes nothing but the moment a round starts.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from backend import connecting, disk, publishing
from backend.annotations import read_task
from backend.errors import EquipoiseError, UnusableCheckpoint
from backend.labelconfig import parse
from backend.labelstudio import LabelStudio
from backend.old_versions import OldVersions
from backend.serving import Serving
from backend.settings import ProjectSettings, Settings
from backend.store import Store, effective
from backend.tables import Kind, Project, Round, State
from backend.workers import Workers
from model.cache import FeatureCache
from model.schema import Schema

log = structlog.get_logger(__name__)
_FIRST_DELAY = 30.0
_LONGEST_DELAY = 1800.0
_DEBOUNCE = 0.5
_CONNECT_DELAY = 15.0


@dataclass(frozen=True)
class Due:
    """A round that should start now."""

    kind: Kind
    cause: str
    options: dict[str, Any]


class Reconciler:
    """Starts rounds, watches their processes, repairs what Label Studio shows."""

    def __init__(self, store: Store, settings: Settings, serving: Serving) -> None:
        """Prepare; `start` starts the thread."""
        self._store = store
        self._settings = settings
        self._serving = serving
        self._circuit = serving.circuit
        self._workers = Workers(store, settings)
        self._trouble = False
        self._problems: dict[int, str] = {}
        self._unreadable: set[str] = set()
        self._seen: dict[int, float] = {}
        self._wake = threading.Event()
        self._everything = threading.Event()
        self._stop = threading.Event()
        self._old = OldVersions(store, settings, self._stop)
        self._thread = threading.Thread(target=self._loop, name="reconciler", daemon=True)

    def start(self) -> None:
        """Start the loop in its own thread."""
        self._thread.start()

    def wake(self, *, everything: bool = False) -> None:
        """Look now instead of at the next poll.

        Args:
            everything: look at every project as a poll does, not only where the store tells that
                a round may be due; a person waits for it.
        """
        if everything:
            self._everything.set()
        self._wake.set()

    def stop(self) -> None:
        """Stop the loop and the rounds it started; they start again after a restart."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._workers.stop()

    def cancel(self, project: int) -> Round | None:
        """Cancel the running round of a project, if any."""
        found = self._store.cancel(project)
        self._workers.cancel(project)
        return found

    def _loop(self) -> None:
        polled = -math.inf
        while not self._stop.is_set():
            self._wake.clear()
            late = time.monotonic() - polled >= self._settings.poll_seconds
            # The trial of an open circuit comes when it is due, and not before.
            trial = self._circuit.is_open and not self._circuit.waits
            full = late or trial or self._everything.is_set()
            self._trouble = False
            self._everything.clear()
            polled = time.monotonic() if full else polled
            try:
                for project in self._store.projects():
                    if not self._stop.is_set() and (full or self._may_be_due(project)):
                        self._look(project.id)
                self._workers.prepare()
            except Exception:  # a store that cannot be read or written now may be later
                self._trouble = True
                log.exception("look failed")
            # A running worker is watched closely; its end must not wait for the next poll.
            self._wake.wait(0.5 if self._workers and not self._trouble else self._pause())
            # Events come in bursts; Label Studio is asked once for all of them.
            self._stop.wait(_DEBOUNCE)

    def _pause(self) -> float:
        return min(self._settings.poll_seconds, self._circuit.waits or math.inf)

    def _may_be_due(self, owner: Project) -> bool:
        """Tell from the store alone whether a look between two polls is worth a request."""
        if owner.id in self._workers or owner.requested or not owner.connected:
            return True
        if owner.current is None:
            return True
        wanted = effective(self._settings, owner).retrain_after
        return owner.new_labels + owner.changes >= wanted

    def _look(self, project: int) -> None:
        try:
            self._reap(project)
            self._warm(project)
            if project in self._workers or self._store.running(project) is not None:
                return
            if self._circuit.waits:  # what is noted already says that Label Studio does not answer
                return
            if self._store.bury(project):
                self._store.prune_files(project, self._settings.keep_rounds)
            self.reconcile(project)
        except EquipoiseError as error:
            self._note(project, str(error))
        except Exception as error:
            self._trouble = True
            if not disk.is_full(error):
                log.exception("reconcile failed", project=project)
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
        self._workers.forget(project)  # only now: on a full disk the next look tries again
        self._warm(project)
        self._store.prune_files(project, self._settings.keep_rounds)
        FeatureCache(self._store.cache).prune(self._settings.cache_bytes)

    def _warm(self, project: int) -> None:
        """Load what serves before somebody waits for it; train again what cannot be loaded."""
        try:
            self._serving.warm(project)
        except UnusableCheckpoint as error:
            current = self._store.current(project)
            if current is not None and current.checkpoint not in self._unreadable:
                self._unreadable.add(current.checkpoint)
                log.warning("checkpoint cannot be read", project=project, reason=str(error))
                self._store.request(project, Kind.TRAIN, f"no usable checkpoint: {error}"[:300])

    # What is due

    def reconcile(self, project: int) -> None:
        """Bring one project in step: repair the queue, start a round, or tidy up."""
        owner = self._store.project(project)
        url, key = self._settings.label_studio_url, self._settings.key
        with LabelStudio(url, key, circuit=self._circuit) as studio:
            if not owner.connected:
                if not self._may_connect(studio, project):
                    return
                connecting.connect(studio, self._store, self._settings, project)
                owner = self._store.project(project)
            remote = studio.project(project)
            self._repair(studio, owner, remote)
            due = self._lost(owner) or self._due(studio, owner, remote)
            if due is not None and not self._old.piled_up(studio, project):
                disk.check(self._store.files, self._settings.min_free_bytes)
                self.start_round(project, due)
                return
            self._old.tidy(studio, project)
            if due is not None:
                log.info("round waits until old versions are deleted", project=project)
                self.wake(everything=True)
                return
        if owner.problem:
            self._store.save_project(project, problem="")

    def _may_connect(self, studio: LabelStudio, project: int) -> bool:
        """Tell whether a project that added our URL by hand should be set up now."""
        seen = self._seen.setdefault(project, time.monotonic())
        # The first call to /setup may come from `equipoise connect`, which is at work itself.
        if not self._settings.auto_connect or time.monotonic() - seen < _CONNECT_DELAY:
            return False
        # Without its row the project was disconnected, and stays so.
        return connecting.is_registered(studio, self._settings, project)

    def _repair(self, studio: LabelStudio, owner: Project, remote: dict[str, Any]) -> None:
        """Name the current version again wherever Label Studio has lost it."""
        current = self._store.current(owner.id)
        if current is None:
            return
        if remote["model_version"] == current.version == owner.announced:
            return
        changed = publishing.announce(
            studio, self._settings, owner.id, owner.backend_id, current.version
        )
        self._store.save_project(owner.id, announced=current.version)
        log.info("announced", project=owner.id, version=current.version, changed=changed)

    def _lost(self, owner: Project) -> Due | None:
        """Make up for a current round whose ranking is not on disk any more."""
        current = self._store.current(owner.id)
        if current is None or owner.requested or self._store.ranking(current).is_file():
            return None
        if self._must_wait(owner.id):
            return None
        kind = Kind.TRAIN
        if current.kind == Kind.COLD:
            kind = Kind.COLD
        elif current.checkpoint and self._store.path(current.checkpoint).is_dir():
            kind = Kind.RANK
        return Due(kind, f"the ranking of {current.version} is gone from the disk", {})

    def _due(self, studio: LabelStudio, owner: Project, remote: dict[str, Any]) -> Due | None:
        wish = owner.requested
        # A wish that a round failed to fulfil waits like any other retry.
        if wish and not (wish.get("again") and self._must_wait(owner.id)):
            return Due(Kind(wish["kind"]), wish["cause"], wish.get("options") or {})
        current = self._store.current(owner.id)
        if self._must_wait(owner.id):
            return None
        options = effective(self._settings, owner)
        new = self._new_labels(studio, owner, remote, options.retrain_after)
        if new - self._refused(owner.id) >= options.retrain_after:
            return Due(Kind.TRAIN, f"{new} new labels", {"new_labels": new})
        if current is None:
            return Due(Kind.COLD, "first look at the pool", {}) if remote["task_number"] else None
        changes = parse(remote["label_config"]).schema.changes_since(
            Schema.from_json(current.schema)
        )
        if changes:
            kind = Kind.TRAIN if current.kind != Kind.COLD else Kind.COLD
            return Due(kind, f"label config changed: {'; '.join(changes)}"[:300], {})
        # What a rolled back round differs in from the project as it was then makes nothing due.
        back = owner.rolled_back if owner.rolled_back.get("round") == current.id else {}
        # `equipoise rank --strategy` may differ from the project's setting, and must last.
        configured = current.options.get("configured", current.strategy)
        configured = back.get("configured", configured)
        if current.kind != Kind.COLD and options.strategy != configured:
            return Due(Kind.RANK, f"strategy changed to {options.strategy}", {})
        added = remote["task_number"] - int(back.get("tasks", current.tasks))
        if added >= options.retrain_after:
            kind = Kind.COLD if current.kind == Kind.COLD else Kind.RANK
            return Due(kind, f"{added} new tasks", {})
        return None

    def _refused(self, project: int) -> int:
        """Return how many new labels a person cancelled a round over: they start no other one."""
        rounds = self._store.rounds(project)
        if not rounds or rounds[-1].state != State.CANCELLED:
            return 0
        return int(rounds[-1].options.get("new_labels", 0))

    def _must_wait(self, project: int) -> bool:
        """Tell whether the last rounds failed too recently to try again."""
        failed = 0
        rounds = self._store.rounds(project)
        for found in reversed(rounds):
            if found.state != State.FAILED:
                break
            failed += 1
        if not failed:
            return False
        delay: float = min(_FIRST_DELAY * 2.0 ** (failed - 1), _LONGEST_DELAY)
        waited = time.time() - (rounds[-1].finished or 0.0)
        return 0 <= waited < delay  # less than 0: a clock was set back

    def _new_labels(
        self, studio: LabelStudio, owner: Project, remote: dict[str, Any], wanted: int
    ) -> int:
        """Count tasks whose labels differ from what the last trained round used.

        All annotations are read only when the counts or the webhooks say that it may be worth
        it, and every `full_compare_seconds` in any case.
        """
        total = int(remote["total_annotations_number"])
        moved = abs(total - owner.compared_annotations) + owner.changes
        stale = abs(time.time() - owner.compared) > self._settings.full_compare_seconds
        if owner.compared_annotations >= 0 and not stale:
            if owner.new_labels + moved < wanted:
                return owner.new_labels
            if not moved:
                return owner.new_labels
        config = parse(remote["label_config"])
        now = {
            str(found.task): found.stamp
            for task in studio.annotated(owner.id)
            if (found := read_task(task, config)) is not None
        }
        old = self._store.trained_on(owner.id)
        new = sum(old.get(task) != stamp for task, stamp in now.items())
        new += sum(task not in now for task in old)
        self._store.forget_changes(owner.id, owner.changes)
        self._store.save_project(
            owner.id, new_labels=new, compared=time.time(), compared_annotations=total
        )
        return new

    def start_round(self, project: int, due: Due) -> None:
        """Claim a round and start its worker process."""
        owner = self._store.project(project)
        configured = options = effective(self._settings, owner)
        wish = {k: v for k, v in due.options.items() if k in ProjectSettings.model_fields}
        options = ProjectSettings(**{**options.model_dump(), **wish})
        strategy = options.strategy
        if due.kind is Kind.COLD:
            strategy = "random" if strategy == "random" else "max_herding"
        claim = self._store.claim(
            project,
            due.kind,
            strategy,
            due.cause,
            {
                "settings": options.model_dump(),
                "configured": configured.strategy,
                "dry": bool(due.options.get("dry")),
                "new_labels": due.options.get("new_labels", 0),
            },
        )
        if claim is None:
            return
        log.info("round starts", project=project, round=claim.round, cause=due.cause, kind=due.kind)
        self._workers.start(project, claim)
        self._store.save_project(project, compared_annotations=-1)
