"""Claims on rounds: who may run one, and how it ends.

A round owns its project through a lease (a token and a time that its process keeps renewing);
whoever has lost the token can change nothing any more.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from backend.errors import EquipoiseError, NotConnected, RoundLost
from backend.store.engine import clock
from backend.store.lease import LEASE_SECONDS
from backend.store.rounds import Rounds, is_alive, running_round
from backend.store.tables import Kind, Project, Round, State


@dataclass(frozen=True)
class Claim:
    """A round that this process may run: its id and the token that proves it."""

    round: int
    token: str


class Claims(Rounds):
    """Writes of rounds."""

    def claim(
        self,
        project: int,
        kind: Kind,
        strategy: str,
        cause: str,
        options: dict[str, Any],
        wish: dict[str, Any] | None = None,
    ) -> Claim | None:
        """Start a round unless one runs already.

        Args:
            project: project id.
            kind: what the round does.
            strategy: how it ranks.
            cause: why it starts, for people.
            options: what it needs to know.
            wish: the request that it fulfils. It is asked again if the round fails; another one
                that has come meanwhile stays.

        Returns:
            The claim, or None when another process holds a live lease on the project.
        """
        token = secrets.token_hex(16)
        with self._write() as session:
            now = clock(session)
            # Writing first takes the row (PostgreSQL) or the database (SQLite) before reading.
            session.execute(update(Project).where(Project.id == project).values(id=project))
            owner = session.get(Project, project)
            if owner is None:
                raise NotConnected(f"Project {project} is not connected.")
            running = session.scalars(
                select(Round).where(Round.project == project, Round.state == State.RUNNING)
            ).all()
            if any(is_alive(found, now) for found in running):
                return None
            for dead in running:
                _end(session, dead, State.INTERRUPTED, _DIED.format(dead.phase or "start"))
            fulfils = {"wish": wish} if wish else {}
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
                options={**options, **fulfils},
                version=_free_version(session, project, number, strategy),
            )
            session.add(found)
            if wish and owner.requested == wish:
                owner.requested = {}
            session.flush()
            # A project that was forgotten and came back uses versions again, its folders never.
            found.folder = f"projects/{project}/{found.version}.{secrets.token_hex(4)}"
            return Claim(found.id, token)

    def renew(self, claim: Claim, **fields: Any) -> None:
        """Renew the lease and note progress.

        Raises:
            RoundLost: the round is no longer this worker's.
        """
        with self._write() as session:
            found = self._owned(session, claim)
            found.lease = clock(session) + LEASE_SECONDS
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
            found.state, found.finished = State.DONE, clock(session)
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
            running = running_round(session, project)
            if running is not None and is_alive(running, clock(session)):
                raise EquipoiseError(
                    f"{running.version} is being made and would replace it: run `equipoise cancel "
                    f"--project {project}` first, or wait for it."
                )
            owner.current, owner.pool, owner.announced = to.id, to.pool, ""
            owner.rolled_back = {"round": to.id, **seen}

    def finish(self, claim: Claim, state: State, error: str = "", *, lasting: bool = False) -> None:
        """End a round without making it current; a round already ended stays as it is.

        Args:
            claim: the round.
            state: how it ended.
            error: why, for people.
            lasting: whether it would fail again: the wish behind it is dropped then.
        """
        with self._write() as session:
            _lock(session, claim.round)
            found = session.get(Round, claim.round)
            if found is not None and found.token == claim.token and found.state == State.RUNNING:
                _end(session, found, state, error, lasting)

    def bury(self, project: int) -> bool:
        """End a running round that nobody works on any more: server and process both died."""
        with self._sessions() as session:
            found = running_round(session, project)
            if found is None or is_alive(found, clock(session)):
                return False
        with self._write() as session:
            session.execute(update(Project).where(Project.id == project).values(id=project))
            found = running_round(session, project)
            if found is not None and not is_alive(found, clock(session)):
                _end(session, found, State.INTERRUPTED, _DIED.format(found.phase or "start"))
        return True

    def cancel(self, project: int) -> Round | None:
        """Take the lease away from the running round, if any, and drop a wish that failed.

        A round that commits at the same moment stays committed, and is not returned.
        """
        with self._write() as session:
            found = running_round(session, project)
            # The round's row before the project's, as `commit` takes them.
            mine = update(Round).where(Round.id == (found.id if found is not None else -1))
            ended = session.execute(
                mine.where(Round.state == State.RUNNING).values(
                    state=State.CANCELLED, finished=clock(session), error="Cancelled by request."
                )
            )
            owner = session.get(Project, project)
            if owner is not None and owner.requested.get("again"):
                owner.requested = {}
            cancelled = bool(cast("CursorResult[Any]", ended).rowcount)
        return self.round(found.id) if found is not None and cancelled else None

    def _owned(self, session: Session, claim: Claim) -> Round:
        _lock(session, claim.round)
        found = session.get(Round, claim.round)
        if found is None or found.token != claim.token or found.state != State.RUNNING:
            raise RoundLost("This round was cancelled or taken over.")
        return found


_DIED = "The worker died in phase {}; nothing is lost."


def _lock(session: Session, round_id: int) -> None:
    """Take a round's row (PostgreSQL) or the database (SQLite) before it is read."""
    session.execute(update(Round).where(Round.id == round_id).values(id=round_id))


def _end(session: Session, found: Round, state: State, error: str, lasting: bool = False) -> None:
    """End a round; what a person asked for and may get later is asked for again."""
    found.state, found.finished, found.error = state, clock(session), error
    found.lasting = lasting
    owner = session.get(Project, found.project)
    wish = found.options.get("wish")
    missed = state == State.INTERRUPTED or (state == State.FAILED and not lasting)
    if missed and wish and owner is not None and owner.connected and not owner.requested:
        owner.requested = {**wish, "again": True}


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
