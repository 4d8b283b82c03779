"""Where the store lies: its folder, its database, and whose clock counts."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.orm import Session

from backend.errors import StoreError

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


def open_engine(url: str) -> Engine:
    """Return the engine of a store; SQLite writes ahead, and every commit reaches the disk."""
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
