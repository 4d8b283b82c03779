"""The store's projects: settings, wishes, and what events have changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, sessionmaker

from backend.errors import ForeignProject, NotConnected
from backend.store.tables import Kind, Mirrored, Named, Project, Round


class Projects:
    """Reads and writes of projects."""

    _sessions: sessionmaker[Session]

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with self._sessions.begin() as session:
            yield session

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

    def note_created(self, project: int, stamp: str) -> None:
        """Note when Label Studio made a project, and refuse another one that has its id.

        Args:
            project: project id.
            stamp: seconds since the epoch as Label Studio writes them; "" where it tells none.

        Raises:
            ForeignProject: the store has a project of this id that was made at another time.
        """
        with self._write() as session:
            found = session.get(Project, project)
            if found is None or not stamp or found.created == stamp:
                return
            if found.created:
                raise ForeignProject(
                    f"Project {project} of this Label Studio is not the one that the store in "
                    "data_dir knows by this id: that one was made at another time, by another "
                    "Label Studio or an earlier installation. Use another data_dir, or run "
                    f"`equipoise forget --project {project}` and connect again."
                )
            found.created = stamp

    def forget(self, project: int) -> None:
        """Delete a project and its rounds; its files are the caller's."""
        with self._write() as session:
            for table in (Round, Mirrored, Named):
                session.execute(delete(table).where(table.project == project))
            session.execute(delete(Project).where(Project.id == project))

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
