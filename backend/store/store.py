"""The store: projects, rounds and leases in SQLite (WAL) or PostgreSQL; files per round beside it.

Every change is one transaction. A round owns its project through a lease (a token and a time that
the worker keeps renewing); whoever has lost the token can change nothing any more.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine, create_engine, event, select, update
from sqlalchemy.orm import Session, sessionmaker

from backend.errors import EquipoiseError, NotConnected, RoundLost, StoreError
from backend.settings import ProjectSettings, Settings
from backend.store import lease
from backend.store.lease import LEASE_SECONDS
from backend.store.migrations import bring_up_to_date
from backend.store.tables import Kind, Project, Round, State

log = structlog.get_logger(__name__)

_FAR = 10 * LEASE_SECONDS
INITIAL_VERSION = "equipoise-r0000"
"""What serves before the first round is committed."""


@dataclass(frozen=True)
class Claim:
    """A round that this process may run: its id and the token that proves it."""

    round: int
    token: str


class Store:
    """All reads and writes of the store."""

    def __init__(self, url: str, files: Path) -> None:
        """Open the store; its tables are made where missing and migrated where old.

        Args:
            url: SQLAlchemy URL.
            files: folder for checkpoints, rankings and the feature cache.

        Raises:
            StoreError: the store is a newer Equipoise's, or not Equipoise's at all; or nothing can
                be written to the folder.
        """
        self.files = files
        _make_writable(files)
        self.engine = _engine(url)
        bring_up_to_date(self.engine)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with self._sessions.begin() as session:
            yield session

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    # Projects

    def project(self, project: int) -> Project:
        """Return one project.

        Raises:
            NotConnected: the project is unknown here.
        """
        with self._sessions() as session:
            found = session.get(Project, project)
        if found is None:
            raise NotConnected(
                f"Project {project} is not connected: run `equipoise connect --project {project}`."
            )
        return found

    def projects(self) -> Sequence[Project]:
        """Return every known project."""
        with self._sessions() as session:
            return session.scalars(select(Project).order_by(Project.id)).all()

    def save_project(self, project: int, **fields: Any) -> Project:
        """Create or change a project."""
        with self._write() as session:
            found = session.get(Project, project)
            if found is None:
                found = Project(id=project)
                session.add(found)
            for name, value in fields.items():
                setattr(found, name, value)
        return found

    def mark_changed(self, project: int) -> None:
        """Count one event that may have changed labels, tasks or config."""
        with self._write() as session:
            session.execute(
                update(Project).where(Project.id == project).values(changes=Project.changes + 1)
            )

    def forget_changes(self, project: int, seen: int) -> None:
        """Take off the events that a comparison has seen; later ones stay."""
        with self._write() as session:
            session.execute(
                update(Project).where(Project.id == project).values(changes=Project.changes - seen)
            )

    def request(self, project: int, kind: Kind, cause: str, **options: Any) -> None:
        """Ask for a round; it starts when no other one runs."""
        self.save_project(project, requested={"kind": kind, "cause": cause, "options": options})

    # Rounds

    def claim(
        self,
        project: int,
        kind: Kind,
        strategy: str,
        cause: str,
        options: dict[str, Any],
    ) -> Claim | None:
        """Start a round unless one runs already.

        Returns:
            The claim, or None when another process holds a live lease on the project.
        """
        now = time.time()
        token = secrets.token_hex(16)
        with self._write() as session:
            # Writing first takes the row (PostgreSQL) or the database (SQLite) before reading.
            session.execute(update(Project).where(Project.id == project).values(id=project))
            owner = session.get(Project, project)
            if owner is None:
                raise NotConnected(f"Project {project} is not connected.")
            running = session.scalars(
                select(Round).where(Round.project == project, Round.state == State.RUNNING)
            ).all()
            if any(_alive(found, now) for found in running):
                return None
            for dead in running:
                _end(session, dead, State.INTERRUPTED, _DIED.format(dead.phase or "start"))
            wish = {"wish": owner.requested} if owner.requested else {}
            number = _next_number(session, owner, kind)
            found = Round(
                project=project,
                number=number,
                kind=kind,
                strategy=strategy,
                cause=cause,
                state=State.RUNNING,
                token=token,
                lease=now + LEASE_SECONDS,
                started=now,
                options={**options, **wish},
                version=_free_version(session, project, number, strategy),
            )
            session.add(found)
            owner.requested = {}
            session.flush()
            found.folder = f"projects/{project}/{found.version}"
            return Claim(found.id, token)

    def renew(self, claim: Claim, **fields: Any) -> None:
        """Renew the lease and note progress.

        Raises:
            RoundLost: the round is no longer this worker's.
        """
        with self._write() as session:
            found = self._owned(session, claim)
            found.lease = time.time() + LEASE_SECONDS
            for name, value in fields.items():
                setattr(found, name, value)

    def commit(self, claim: Claim, **fields: Any) -> None:
        """Make a round the project's current one, in one transaction.

        Raises:
            RoundLost: the round is no longer this worker's.
        """
        with self._write() as session:
            found = self._owned(session, claim)
            for name, value in fields.items():
                setattr(found, name, value)
            found.state, found.finished = State.DONE, time.time()
            owner = session.get(Project, found.project)
            if owner is None:
                raise RoundLost("The project was disconnected meanwhile.")
            owner.current, owner.problem, owner.pool = found.id, "", found.pool
            owner.rolled_back = {}
            if "trained_on" in fields:
                others = update(Round).where(Round.project == found.project, Round.id != found.id)
                session.execute(others.values(trained_on={}))

    def roll_back(self, project: int, to: Round, **seen: Any) -> None:
        """Make an earlier finished round the current one again, unless a round is running.

        Args:
            project: project id.
            to: the round.
            seen: what the project is like now; only what changes from here on makes a round due.

        Raises:
            EquipoiseError: a round is running, and would replace it when it is done.
        """
        with self._write() as session:
            session.execute(update(Project).where(Project.id == project).values(id=project))
            owner = session.get_one(Project, project)
            running = _running(session, project)
            if running is not None and _alive(running, time.time()):
                raise EquipoiseError(
                    f"{running.version} is being made and would replace it: run `equipoise cancel "
                    f"--project {project}` first, or wait for it."
                )
            owner.current, owner.pool, owner.announced = to.id, to.pool, ""
            owner.rolled_back = {"round": to.id, **seen}

    def finish(self, claim: Claim, state: State, error: str = "") -> None:
        """End a round without making it current; a round already ended stays as it is."""
        with self._write() as session:
            found = session.get(Round, claim.round)
            if found is not None and found.token == claim.token and found.state == State.RUNNING:
                _end(session, found, state, error)

    def bury(self, project: int) -> bool:
        """End a running round that nobody works on any more: server and worker both died."""
        with self._sessions() as session:
            found = _running(session, project)
        if found is None or _alive(found, time.time()):
            return False
        with self._write() as session:
            session.execute(update(Project).where(Project.id == project).values(id=project))
            found = _running(session, project)
            if found is not None and not _alive(found, time.time()):
                _end(session, found, State.INTERRUPTED, _DIED.format(found.phase or "start"))
        return True

    def cancel(self, project: int) -> Round | None:
        """Take the lease away from the running round, if any, and drop a wish that failed."""
        with self._write() as session:
            owner = session.get(Project, project)
            if owner is not None and owner.requested.get("again"):
                owner.requested = {}
            found = _running(session, project)
            if found is not None:
                found.state, found.finished = State.CANCELLED, time.time()
                found.error = "Cancelled by request."
        return found

    def running(self, project: int) -> Round | None:
        """Return the running round with a live lease, if any."""
        with self._sessions() as session:
            found = _running(session, project)
        return found if found is not None and _alive(found, time.time()) else None

    def current(self, project: int) -> Round | None:
        """Return the round whose version serves, if any."""
        with self._sessions() as session:
            owner = session.get(Project, project)
            return session.get(Round, owner.current) if owner and owner.current else None

    def round(self, round_id: int) -> Round:
        """Return one round."""
        with self._sessions() as session:
            return session.get_one(Round, round_id)

    def rounds(self, project: int) -> Sequence[Round]:
        """Return a project's rounds, oldest first."""
        with self._sessions() as session:
            query = select(Round).where(Round.project == project).order_by(Round.id)
            return session.scalars(query).all()

    def trained_on(self, project: int) -> dict[str, str]:
        """Return task id -> stamp of the labels that the newest trained round used."""
        with self._sessions() as session:
            found = session.scalars(
                select(Round.trained_on)
                .where(
                    Round.project == project,
                    Round.kind == Kind.TRAIN,
                    Round.state == State.DONE,
                )
                .order_by(Round.id.desc())
                .limit(1)
            ).first()
        return dict(found or {})

    def _owned(self, session: Session, claim: Claim) -> Round:
        session.execute(update(Round).where(Round.id == claim.round).values(id=claim.round))
        found = session.get(Round, claim.round)
        if found is None or found.token != claim.token or found.state != State.RUNNING:
            raise RoundLost("This round was cancelled or taken over.")
        return found

    # Leases

    def alone(
        self, project: int, *, wait: float = 2 * LEASE_SECONDS
    ) -> AbstractContextManager[None]:
        """Be the only one that changes how a project is set up; see `lease.alone`."""
        return lease.alone(self._sessions, project, wait)

    # Files

    def path(self, relative: str) -> Path:
        """Return the place of a round's folder or checkpoint."""
        return self.files / relative

    def ranking(self, found: Round) -> Path:
        """Return the file of a round's ranking."""
        return self.path(found.folder) / "ranking.parquet"

    def prune_files(self, project: int, keep: int) -> None:
        """Delete the folders of all but the newest `keep` finished rounds and the current one."""
        rounds = self.rounds(project)
        current = self.current(project)
        done = [r for r in rounds if r.state == State.DONE][-keep:]
        busy = [r for r in rounds if r.state == State.RUNNING]
        kept = {r.folder for r in [*done, *busy, *([current] if current else [])]}
        kept |= {str(Path(r.checkpoint).parent) for r in done if r.checkpoint}
        if current and current.checkpoint:
            kept.add(str(Path(current.checkpoint).parent))
        for found in rounds:
            if found.folder and found.folder not in kept:
                shutil.rmtree(self.path(found.folder), ignore_errors=True)


def effective(settings: Settings, owner: Project) -> ProjectSettings:
    """Return the settings in force for a project."""
    return settings.for_project(owner.id, owner.extra_params, owner.overrides)


def open_store(settings: Settings) -> Store:
    """Open the store that the settings name."""
    return Store(settings.database, settings.data_dir)


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The folder {folder} (data_dir) cannot be made: {error}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(
            f"Nothing can be written to {folder} (data_dir): its disk is read-only, or it is "
            "another user's. Make it writable for the user that runs Equipoise."
        )


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine


_DIED = "The worker died in phase {}; nothing is lost."


def _end(session: Session, found: Round, state: State, error: str) -> None:
    """End a round; what a person asked for and did not get is asked for again."""
    found.state, found.finished, found.error = state, time.time(), error
    owner = session.get(Project, found.project)
    wish = found.options.get("wish")
    missed = state in (State.FAILED, State.INTERRUPTED)
    if missed and wish and owner is not None and owner.connected and not owner.requested:
        owner.requested = {**wish, "again": True}


def _running(session: Session, project: int) -> Round | None:
    return session.scalars(
        select(Round)
        .where(Round.project == project, Round.state == State.RUNNING)
        .order_by(Round.id.desc())
    ).first()


def _alive(found: Round, now: float) -> bool:
    """Tell whether a lease holds; one far in the future was taken before a clock was set back."""
    return now < found.lease <= now + _FAR


def _next_number(session: Session, owner: Project, kind: Kind) -> int:
    """Trained rounds count 1, 2, ...; a re-ranking keeps the number of the model it uses."""
    if kind is Kind.RANK and owner.current is not None:
        return session.get_one(Round, owner.current).number
    numbers = session.scalars(
        select(Round.number).where(
            Round.project == owner.id, Round.kind == Kind.TRAIN, Round.state == State.DONE
        )
    ).all()
    newest = max(numbers, default=0)
    return newest + 1 if kind is Kind.TRAIN else newest


def _free_version(session: Session, project: int, number: int, strategy: str) -> str:
    """Name a version that was never used: a name on stored predictions must stay unambiguous."""
    used = set(session.scalars(select(Round.version).where(Round.project == project)))
    base = f"equipoise-r{number:04d}-{strategy}"
    names = (base if i == 1 else f"{base}.{i}" for i in range(1, len(used) + 2))
    return next(name for name in names if name not in used)
