"""Where the store lies: its folder, its database, and whose clock counts."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.orm import Session

from backend.errors import StoreError

MOUNTS = Path("/proc/self/mountinfo")
_ELSEWHERE = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs"),
        *("sshfs", "rclone", "s3fs", "gcsfuse", "mount-s3", "mountpoint-s3", "goofys", "davfs"),
    )
)
"""Types of filesystems that are on other machines, with or without `fuse.` before them."""
_CLOCK = text("SELECT EXTRACT(EPOCH FROM clock_timestamp())")


def clock(session: Session) -> float:
    """Return the database's time, in seconds since the epoch.

    Leases are judged by it, so that servers whose clocks differ do not take rounds from each other.
    SQLite has its server's: all of its users are on one machine.
    """
    if session.get_bind().dialect.name == "sqlite":
        return time.time()
    return float(session.scalar(_CLOCK) or 0.0)


def make_writable(folder: Path) -> None:
    """Make the folder, for its owner alone; raise StoreError where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"The folder {folder} (data_dir) cannot be made: {error}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(
            f"Nothing can be written to {folder} (data_dir): its disk is read-only, or it is "
            "another user's. Make it writable for the user that runs Equipoise."
        )


def check_place(url: str, mounts: Path = MOUNTS) -> None:
    """Raise StoreError where a SQLite store lies on another machine's disk.

    Its locks and its shared memory do not reach there: two machines would break it.

    Args:
        url: of the store.
        mounts: what the kernel says of filesystems (Linux); nothing is known without it.
    """
    database = make_url(url).database
    if not url.startswith("sqlite") or not database or not mounts.exists():
        return
    kind = _filesystem(Path(database).absolute(), mounts.read_text())
    if kind in _ELSEWHERE or kind.removeprefix("fuse.") in _ELSEWHERE:
        raise StoreError(
            f"{database} lies on a network folder ({kind}), where SQLite is not safe. Put data_dir "
            "on a disk of this machine, or name a PostgreSQL in store_url. Servers that share one "
            "find each other's rankings by artifacts_url."
        )


def _filesystem(path: Path, mounts: str) -> str:
    """Return the type of the filesystem that a path is on, from the text of mountinfo."""
    place = str(path.resolve())
    best, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        at = before.split(" ")[4].replace(r"\040", " ")
        inside = place == at or place.startswith(at.rstrip("/") + "/")
        if inside and len(at) >= len(best):  # of two on one place the later hides the other
            best, kind = at, after.split(" ")[0]
    return kind


def open_engine(url: str) -> Engine:
    """Return the engine of a store; SQLite writes ahead, and every commit reaches the disk.

    Raises:
        StoreError: it is SQLite's on a network folder.
    """
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    check_place(url)
    engine = create_engine(url, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine
