"""The store's rounds, as they are read."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.store.engine import clock
from backend.store.lease import LEASE_SECONDS
from backend.store.projects import Projects
from backend.store.tables import Kind, Project, Round, State

_FAR = 10 * LEASE_SECONDS


class Rounds(Projects):
    """Reads of rounds."""

    def running(self, project: int) -> Round | None:
        """Return the running round with a live lease, if any."""
        with self._sessions() as session:
            found = running_round(session, project)
            return found if found is not None and is_alive(found, clock(session)) else None

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
            # Where nothing can be learned a cold round notes what it covered.
            rounds = session.execute(
                select(Round.kind, Round.trained_on)
                .where(
                    Round.project == project,
                    Round.kind.in_((Kind.TRAIN, Kind.COLD)),
                    Round.state == State.DONE,
                )
                .order_by(Round.id.desc())
            )
            found = [seen for kind, seen in rounds if kind == Kind.TRAIN or seen]
        return dict(found[0] or {}) if found else {}

    def drawn(self, project: int) -> set[int]:
        """Return the ids of the tasks that chance has put into the queue in any finished round."""
        with self._sessions() as session:
            found = session.scalars(
                select(Round.drawn).where(Round.project == project, Round.state == State.DONE)
            ).all()
        return {task for one in found for task in (one or {}).get("tasks", ())}


def running_round(session: Session, project: int) -> Round | None:
    """Return the newest round of a project that has not ended, its lease live or not."""
    return session.scalars(
        select(Round)
        .where(Round.project == project, Round.state == State.RUNNING)
        .order_by(Round.id.desc())
    ).first()


def is_alive(found: Round, now: float) -> bool:
    """Tell whether a lease holds; one far in the future was taken before a clock was set back."""
    return now < found.lease <= now + _FAR
