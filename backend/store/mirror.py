"""What the store keeps of a project's tasks, so that a round asks only for what has changed.

Every row is what Label Studio said of a task at some moment; which moment all of them are younger
than is noted last (`State.until`). So whoever dies half-way leaves nothing wrong behind, and what
was read already is only read again. backend/labelstudio/in_step.py reads.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import case, delete, func, insert, select, update
from sqlalchemy.orm import Session, sessionmaker

from backend.store import lease
from backend.store.tables import Mirrored, Named, Project

Json = dict[str, Any]
Item = TypeVar("Item")
CHUNK = 500
"""Rows that are read or written at once."""
_KEPT = ("result", "was_cancelled", "ground_truth", "completed_by", "lead_time")
"""What is read of an annotation."""
EVERYTHING = 0
"""Named in place of tasks: too many of them were, and all must be looked at."""
_MOST_NAMED = 1000
_LEASE = 20.0
"""Seconds that a round waits at most after one that was killed while it read."""


@dataclass(frozen=True)
class State:
    """How far the mirror is in step.

    Attributes:
        until: moment (Label Studio's clock, ISO 8601) up to which all changes are in it; "": it
            was never filled.
        checked: when all tasks were last looked at, seconds since the epoch.
        took: seconds that that took.
        apart: by how much its counts then differed from Label Studio's.
        excused: the same, where it was so twice: looking again would not change it.
    """

    until: str = ""
    checked: float = 0.0
    took: float = 0.0
    apart: Mapping[str, int] = field(default_factory=dict)
    excused: Mapping[str, int] = field(default_factory=dict)


class Mirror:
    """What the store keeps of one project's tasks."""

    def __init__(self, sessions: sessionmaker[Session], project: int) -> None:
        """Remember which project."""
        self._sessions = sessions
        self._project = project
        self._mine = Mirrored.project == project

    def alone(self, wait: float) -> AbstractContextManager[None]:
        """Be the only one that writes to it; see `lease.alone`."""
        return lease.alone(self._sessions, self._project, wait, "mirror", _LEASE)

    @property
    def state(self) -> State:
        """How far it is in step."""
        with self._sessions() as session:
            found = session.scalar(select(Project.mirror).where(Project.id == self._project))
        return State(**(found or {}))

    def save(self, state: State) -> None:
        """Note how far it is in step."""
        mine = update(Project).where(Project.id == self._project)
        with self._sessions.begin() as session:
            session.execute(mine.values(mirror=asdict(state)))

    # Reads

    def counts(self) -> dict[str, int]:
        """Count tasks, those that are done, annotations that were made, and skipped ones."""
        done = func.sum(case((Mirrored.open, 0), else_=1))
        made, skipped = func.sum(Mirrored.made), func.sum(Mirrored.skipped)
        with self._sessions() as session:
            query = select(func.count(), done, made, skipped).where(self._mine)
            found = session.execute(query).one()
        names = ("tasks", "done", "made", "skipped")
        return {name: int(value or 0) for name, value in zip(names, found, strict=True)}

    def newest(self) -> int:
        """Return the largest task id; 0 where there is none."""
        with self._sessions() as session:
            return session.scalar(select(func.max(Mirrored.task)).where(self._mine)) or 0

    def ids(self, *, only_open: bool = False) -> list[int]:
        """Return the ids of all tasks, or of those that are not done, in order."""
        query = select(Mirrored.task).where(self._mine).order_by(Mirrored.task)
        with self._sessions() as session:
            return list(session.scalars(query.where(Mirrored.open) if only_open else query))

    def annotated(self) -> Iterator[Json]:
        """Yield every task that has annotations (skipped ones too), with them and without data."""
        last = 0
        while True:
            query = (
                select(Mirrored.task, Mirrored.open, Mirrored.annotations)
                .where(self._mine, Mirrored.task > last, Mirrored.made + Mirrored.skipped > 0)
                .order_by(Mirrored.task)
                .limit(CHUNK)
            )
            with self._sessions() as session:
                rows = session.execute(query).all()
            for task, is_open, said in rows:
                last = task
                annotations = _read(said) if said is not None else []
                yield {"id": task, "is_labeled": not is_open, "annotations": annotations}
            if len(rows) < CHUNK:
                return

    def annotations(self, tasks: Sequence[int]) -> dict[int, list[Json]]:
        """Return the annotations of tasks, of those that are there."""
        query = select(Mirrored.task, Mirrored.annotations)
        with self._sessions() as session:
            rows = session.execute(query.where(self._mine, Mirrored.task.in_(tasks)))
            return {task: _read(said) if said is not None else [] for task, said in rows}

    def data(self, tasks: Sequence[int]) -> dict[int, Json]:
        """Return the data of tasks, of those that are there."""
        query = select(Mirrored.task, Mirrored.data).where(self._mine, Mirrored.task.in_(tasks))
        with self._sessions() as session:
            return {task: _read(data) for task, data in session.execute(query)}

    # Writes

    def put(self, tasks: Iterable[Json]) -> int:
        """Keep tasks with all that belongs to them; return how many."""
        count = 0
        for some in _chunks(tasks):
            rows = [{**_plain(task), **_said(task["annotations"])} for task in some]
            with self._sessions.begin() as session:
                self._drop(session, [row["task"] for row in rows])
                session.execute(insert(Mirrored), [{"project": self._project, **r} for r in rows])
            count += len(rows)
        return count

    def drop(self, tasks: Collection[int]) -> None:
        """Forget tasks."""
        for some in _chunks(tasks):
            with self._sessions.begin() as session:
                self._drop(session, some)

    def _drop(self, session: Session, tasks: Sequence[int]) -> None:
        session.execute(delete(Mirrored).where(self._mine, Mirrored.task.in_(tasks)))

    def compare(self, tasks: Sequence[Json], after: int, upto: int | None) -> int:
        """Bring one stretch of ids in step with a listing of it that has no annotations.

        Args:
            tasks: all tasks that Label Studio has there.
            after: the stretch begins behind this id,
            upto: and ends with this one; None: with the largest.

        Returns:
            How many rows were changed.
        """
        there = self._stretch(after, upto)
        columns = (Mirrored.task, Mirrored.updated, Mirrored.open, Mirrored.data)
        with self._sessions.begin() as session:
            old = {row[0]: row for row in session.execute(select(*columns).where(*there))}
            new = {row["task"]: row for row in map(_plain, tasks)}
            gone = [task for task in old if task not in new]
            for some in _chunks(gone):
                self._drop(session, some)
            none = {"project": self._project, "made": 0, "skipped": 0, "annotations": None}
            added = [{**none, **row} for task, row in new.items() if task not in old]
            if added:
                session.execute(insert(Mirrored), added)
            changed = [
                row
                for task, row in new.items()
                if task in old
                and tuple(old[task][1:]) != (row["updated"], row["open"], row["data"])
            ]
            for row in changed:
                mine = update(Mirrored).where(self._mine, Mirrored.task == row["task"])
                session.execute(mine.values(**row))
        return len(added) + len(changed) + len(gone)

    def unannotate(self, but: Collection[int], after: int, upto: int | None) -> None:
        """Forget the annotations in a stretch of ids, but for some tasks'."""
        there = (*self._stretch(after, upto), Mirrored.made + Mirrored.skipped > 0)
        with self._sessions.begin() as session:
            found = session.scalars(select(Mirrored.task).where(*there))
            for some in _chunks([task for task in found if task not in but]):
                mine = update(Mirrored).where(self._mine, Mirrored.task.in_(some))
                session.execute(mine.values(made=0, skipped=0, annotations=None))

    def _stretch(self, after: int, upto: int | None) -> tuple[Any, ...]:
        found = (self._mine, Mirrored.task > after)
        return found if upto is None else (*found, Mirrored.task <= upto)

    # What events name

    def name(self, tasks: Collection[int]) -> None:
        """Note tasks that an event has named; of very many, that there were."""
        _, waiting = self.named()
        many = len(waiting) + len(tasks) > _MOST_NAMED
        new = {EVERYTHING} - waiting if many else set(tasks)
        if new:
            rows = [{"project": self._project, "task": task} for task in sorted(new)]
            with self._sessions.begin() as session:
                session.execute(insert(Named), rows)

    def named(self) -> tuple[int, set[int]]:
        """Return what was named, and the number of the last event's row, for `settle`."""
        query = select(Named.id, Named.task).where(Named.project == self._project)
        with self._sessions() as session:
            rows = session.execute(query).all()
        return max((row for row, _ in rows), default=0), {task for _, task in rows}

    def settle(self, upto: int) -> None:
        """Take off what was named and has been looked at; what came later stays."""
        mine = delete(Named).where(Named.project == self._project, Named.id <= upto)
        with self._sessions.begin() as session:
            session.execute(mine)


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while some := list(islice(rest, CHUNK)):
        yield some


def _plain(task: Json) -> Json:
    return {
        "task": int(task["id"]),
        "updated": str(task.get("updated_at", "")),
        "open": not task["is_labeled"],
        "data": _written(task["data"]),
    }


def _said(annotations: Sequence[Json]) -> Json:
    skipped = sum(bool(said.get("was_cancelled")) for said in annotations)
    kept = [{name: said[name] for name in _KEPT if name in said} for said in annotations]
    return {
        "made": len(annotations) - skipped,
        "skipped": skipped,
        "annotations": _written(kept) if annotations else None,
    }


def _written(value: Any) -> bytes:
    # Half of a surrogate pair, left where a text was cut inside an emoji, is no text to Arrow,
    # to tokenisers and to browsers: it becomes a question mark here, before all of them.
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return zlib.compress(text.encode(errors="replace"), 1)


def _read(value: bytes) -> Any:
    return json.loads(zlib.decompress(value))
