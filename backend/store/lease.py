"""Leases in the store: one process at a time changes how a project is set up.

A lease is a token and a time that its owner keeps renewing, so that one whose owner died ends by
itself.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from backend.errors import Busy
from backend.store.tables import Lease

log = structlog.get_logger(__name__)

LEASE_SECONDS = 60.0
Sessions = sessionmaker[Session]


@contextmanager
def alone(sessions: Sessions, project: int, wait: float) -> Iterator[None]:
    """Be the only one that changes how a project is set up, in all processes on this store.

    Args:
        sessions: of the store.
        project: project id.
        wait: seconds to wait for another one to be done; more than a lease outlives a process
            that died with it.

    Raises:
        Busy: another process still has it.
    """
    name, token = f"project:{project}", secrets.token_hex(16)
    deadline = time.monotonic() + wait
    while not take(sessions, name, token):
        if time.monotonic() >= deadline:
            raise Busy(
                f"Another process is changing the set-up of project {project} (connect, "
                "disconnect, rollback or clean-up); try again when it is done."
            )
        time.sleep(0.1)
    stop = threading.Event()
    thread = threading.Thread(target=_keep, args=(sessions, name, token, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with sessions.begin() as session:
            session.execute(delete(Lease).where(Lease.name == name, Lease.token == token))


def take(sessions: Sessions, name: str, token: str) -> bool:
    """Take a lease that is free or has run out; tell whether it is ours now."""
    now = time.time()
    try:
        with sessions.begin() as session:
            session.execute(delete(Lease).where(Lease.name == name, Lease.until <= now))
            if session.get(Lease, name) is not None:
                return False
            session.add(Lease(name=name, token=token, until=now + LEASE_SECONDS))
    except IntegrityError:  # another process was faster
        return False
    return True


def _keep(sessions: Sessions, name: str, token: str, stop: threading.Event) -> None:
    mine = update(Lease).where(Lease.name == name, Lease.token == token)
    while not stop.wait(LEASE_SECONDS / 4):
        try:
            with sessions.begin() as session:
                session.execute(mine.values(until=time.time() + LEASE_SECONDS))
        except SQLAlchemyError as error:  # a busy store: the next beat tries again
            log.warning("lease not renewed", lease=name, error=type(error).__name__)
