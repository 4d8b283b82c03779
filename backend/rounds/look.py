"""One look at one project: connect it, name its version again, and find out what is due.

What is due is decided by backend/rounds/due.py; this asks Label Studio and the store for the facts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

import structlog

from backend.errors import Busy, LabelStudioError
from backend.labelstudio.annotations import read_tasks
from backend.labelstudio.circuit import Circuits
from backend.labelstudio.client import COUNTS, LabelStudio
from backend.labelstudio.config import parse
from backend.labelstudio.in_step import bring_in_step, is_stale
from backend.queue import connect as connecting
from backend.queue.naming import name_current
from backend.rounds.due import Due, Facts, Serves, due, failures_of, refused_labels
from backend.settings import Settings
from backend.store import disk
from backend.store.store import Store, effective
from backend.store.tables import Kind, Project
from model.schema import Schema

log = structlog.get_logger(__name__)
_CONNECT_DELAY = 15.0
_TIMEOUT = 60.0
Json = dict[str, Any]


class _Stopping(Exception):
    """The server stops."""


class Look:
    """Looks at projects; may be called from several threads, for different projects."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        circuits: Circuits,
        stopping: threading.Event | None = None,
    ) -> None:
        """Remember where to look; `stopping` ends the reading of many tasks."""
        self._stopping = stopping or threading.Event()
        self._store = store
        self._settings = settings
        self._circuits = circuits
        self._seen: dict[int, float] = {}
        self._alarms: dict[int, str] = {}
        self._lock = threading.Lock()

    def __call__(self, project: int) -> Due | None:
        """Bring one project in step and return the round that should start now, if any.

        Raises:
            EquipoiseError: Label Studio or the disk does not allow it; the message is for people.
        """
        owner = self._store.project(project)
        with LabelStudio.of(
            self._settings,
            timeout=_TIMEOUT,
            circuit=self._circuits.of(project),
        ) as studio:
            if not owner.connected:
                if not self._may_connect(studio, project):
                    return None
                connecting.connect(studio, self._store, self._settings, project)
                owner = self._store.project(project)
            remote = studio.project(project, "model_version", "label_config", *COUNTS)
            trouble = self._repair(studio, owner, remote)
            found = due(self.facts(studio, owner, remote))
        if found is None and trouble is not None:
            raise trouble
        if found is not None:
            disk.check(self._store.files, self._settings.min_free_bytes)
        alarm = self._alarms.get(project, "")
        if owner.problem != alarm:
            self._store.save_project(project, problem=alarm)
        return found

    def facts(self, studio: LabelStudio, owner: Project, remote: Json) -> Facts:
        """Collect what decides whether a round is due.

        Args:
            studio: Label Studio.
            owner: the project as the store has it.
            remote: the project as Label Studio has it.
        """
        options = effective(self._settings, owner)
        rounds = self._store.rounds(owner.id)
        # What is asked for now starts whatever the labels are: they need not be counted before.
        asked = owner.requested and not owner.requested.get("again")
        wanted = options.retrain_after
        new = owner.new_labels if asked else self._new_labels(studio, owner, remote, wanted)
        return Facts(
            tasks=int(remote["task_number"]),
            schema=parse(remote["label_config"]).schema,
            new_labels=new,
            retrain_after=wanted,
            strategy=options.strategy,
            refused=refused_labels(rounds),
            wish=owner.requested,
            serves=self._serves(owner),
            failures=failures_of(rounds, time.time()),
        )

    def _serves(self, owner: Project) -> Serves | None:
        current = self._store.current(owner.id)
        if current is None:
            return None
        # What a rolled back round differs in from the project as it was then makes nothing due.
        back = owner.rolled_back if owner.rolled_back.get("round") == current.id else {}
        # `equipoise rank --strategy` may differ from the project's setting, and must last.
        strategy = current.options.get("configured", current.strategy)
        return Serves(
            kind=Kind(current.kind),
            version=current.version,
            schema=Schema.from_json(current.schema) if current.schema else None,
            strategy=back.get("configured", strategy),
            tasks=int(back.get("tasks", current.tasks)),
            has_ranking=self._store.has_ranking(current),
            has_model=self._store.has_model(current),
        )

    def _may_connect(self, studio: LabelStudio, project: int) -> bool:
        """Tell whether a project that added our URL by hand should be set up now."""
        with self._lock:
            seen = self._seen.setdefault(project, time.monotonic())
        # The first call to /setup may come from `equipoise connect`, which is at work itself.
        if not self._settings.auto_connect or time.monotonic() - seen < _CONNECT_DELAY:
            return False
        # Without its row the project was disconnected, and stays so.
        return connecting.is_registered(studio, self._settings, project)

    def _repair(self, studio: LabelStudio, owner: Project, remote: Json) -> LabelStudioError | None:
        """Name the current version again wherever Label Studio has lost it.

        Returns:
            Why it cannot be; labels are no less worth a round for that.
        """
        current = self._store.current(owner.id)
        if current is None:
            return None
        if remote["model_version"] == current.version == owner.announced:
            return None
        try:
            changed = name_current(studio, self._store, self._settings, owner.id, wait=0.0)
        except Busy:  # who sets it up just now names what serves then
            return None
        except LabelStudioError as error:
            return error
        log.info("announced", project=owner.id, version=current.version, changed=changed)
        return None

    def _new_labels(self, studio: LabelStudio, owner: Project, remote: Json, wanted: int) -> int:
        """Count tasks whose labels differ from what the last trained round used.

        Annotations are read only when the counts or the webhooks say that it may be worth it, and
        every `full_compare_seconds` in any case.
        """
        total = int(remote["total_annotations_number"])
        # An annotation changes the count and sends an event: it is one, not two.
        moved = max(abs(total - owner.compared_annotations), owner.changes)
        mirror = self._store.mirror(owner.id)
        every = self._settings.full_compare_seconds
        whole = is_stale(mirror.state, every)
        stale = whole or abs(time.time() - owner.compared) > every
        few = owner.new_labels + moved < wanted or not moved
        known = not owner.problem or owner.id in self._alarms
        if owner.compared_annotations >= 0 and not stale and few and known:
            return owner.new_labels
        config = parse(remote["label_config"])
        # The first round fills the mirror: until then few are annotated, of many tasks.
        tasks: Iterable[Json] = studio.annotated(owner.id)
        if mirror.state.until:
            try:
                bring_in_step(
                    studio,
                    mirror,
                    owner.id,
                    remote=remote,
                    whole=whole,
                    wait=0.0,
                    between=self._go_on,
                )
            except (Busy, _Stopping):  # a round reads, and counts them itself; or the server stops
                return owner.new_labels
            tasks = mirror.annotated()
        answers = read_tasks(tasks, config)
        self._alarms[owner.id] = answers.alarm
        now = {str(found.task): found.stamp for found in answers.labelled}
        old = self._store.trained_on(owner.id)
        new = sum(old.get(task) != stamp for task, stamp in now.items())
        new += sum(task not in now for task in old)
        self._store.forget_changes(owner.id, owner.changes)
        self._store.save_project(
            owner.id, new_labels=new, compared=time.time(), compared_annotations=total
        )
        return new

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise _Stopping
