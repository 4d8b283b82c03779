"""The store: projects, rounds and leases in SQLite (WAL) or PostgreSQL; files per round beside it.

Every change is one transaction.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy.orm import sessionmaker

from backend.errors import EquipoiseError
from backend.settings import ProjectSettings, Settings
from backend.store import lease
from backend.store.artifacts import Artifacts
from backend.store.bucket import Bucket
from backend.store.claims import Claim, Claims
from backend.store.engine import make_writable, open_engine
from backend.store.files import Files
from backend.store.lease import LEASE_SECONDS
from backend.store.migrations import bring_up_to_date
from backend.store.mirror import Mirror
from backend.store.tables import Project

__all__ = ["INITIAL_VERSION", "Claim", "Store", "effective", "open_store"]
INITIAL_VERSION = "equipoise-r0000"
"""What serves before the first round is committed."""


class Store(Claims, Files):
    """All reads and writes of the store."""

    def __init__(self, url: str, files: Path, bucket: str = "") -> None:
        """Open the store; its tables are made where missing and migrated where old.

        Args:
            url: SQLAlchemy URL.
            files: folder for checkpoints, rankings and the feature cache.
            bucket: URL of where servers share checkpoints and rankings; "": that folder is all.

        Raises:
            StoreError: the store is a newer Equipoise's, or not Equipoise's at all; or nothing can
                be written to the folder.
        """
        self.files = files
        self.artifacts = Bucket(files, bucket) if bucket else Artifacts(files)
        make_writable(files)
        self.engine = open_engine(url)
        bring_up_to_date(self.engine)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def mirror(self, project: int) -> Mirror:
        """Return what is kept of a project's tasks."""
        return Mirror(self._sessions, project)

    def alone(
        self, project: int, *, wait: float = 2 * LEASE_SECONDS
    ) -> AbstractContextManager[None]:
        """Be the only one that changes how a project is set up; see `lease.alone`."""
        return lease.alone(self._sessions, project, wait)


def effective(settings: Settings, owner: Project) -> ProjectSettings:
    """Return the settings in force for a project.

    Raises:
        EquipoiseError: a stored one is not valid any more.
    """
    try:
        return settings.for_project(owner.id, owner.extra_params, owner.overrides)
    except ValueError as error:
        raise EquipoiseError(
            f"A setting of project {owner.id} is not valid (extra params in Label Studio, or "
            f"`equipoise set --project {owner.id} --clear`): {error}"[:600]
        ) from None


def open_store(settings: Settings) -> Store:
    """Open the store that the settings name."""
    return Store(settings.database, settings.data_dir, settings.bucket)
