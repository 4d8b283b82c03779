"""Leases: one process at a time runs a project's round, or changes how it is set up.

A lease is a token and a time that its owner keeps renewing, so that one whose owner died ends by
itself. A round's is in its own row (backend/store/rounds.py); what else only one may do has a row
of the table of leases. One heartbeat serves both.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from backend.errors import Busy
from backend.store.engine import clock
from backend.store.tables import Lease

log = structlog.get_logger(__name__)

LEASE_SECONDS = 60.0
Sessions = sessionmaker[Session]
_BUSY = {
    "project": "Another process is changing the set-up of project {} (connect, disconnect, "
    "rollback or clean-up); try again when it is done.",
    "mirror": "Another process is reading the tasks of project {}; try again when it is done.",
}


@contextmanager
def kept_alive(renew: Callable[[], bool], seconds: float | None = None) -> Iterator[None]:
    """Renew a lease from a thread of its own while the body runs.

    Args:
        renew: renews it; False where it is lost, which ends the renewing. What it raises is
            logged, and the next beat tries again: a store may be busy.
        seconds: how long it lasts; None: LEASE_SECONDS.
    """
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait((seconds or LEASE_SECONDS) / 4):
            try:
                if not renew():
                    return
            except Exception as error:
                log.warning("lease not renewed", error=type(error).__name__)

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def alone(
    sessions: Sessions,
    project: int,
    wait: float,
    what: str = "project",
    seconds: float | None = None,
) -> Iterator[None]:
    """Be the only one that changes something of a project, in all processes on this store.

    Args:
        sessions: of the store.
        project: project id.
        wait: seconds to wait for another one to be done; more than a lease outlives a process
            that died with it.
        what: its set-up ("project"), or what is kept of its tasks ("mirror").
        seconds: how long the lease outlives a process that died with it; None: LEASE_SECONDS.

    Raises:
        Busy: another process still has it.
    """
    name, token = f"{what}:{project}", secrets.token_hex(16)
    deadline = time.monotonic() + wait
    while not take(sessions, name, token, seconds):
        if time.monotonic() >= deadline:
            raise Busy(_BUSY[what].format(project))
        time.sleep(0.1)
    mine = update(Lease).where(Lease.name == name, Lease.token == token)

    def renew() -> bool:
        with sessions.begin() as session:
            session.execute(mine.values(until=clock(session) + (seconds or LEASE_SECONDS)))
        return True

    try:
        with kept_alive(renew, seconds):
            yield
    finally:
        with sessions.begin() as session:
            session.execute(delete(Lease).where(Lease.name == name, Lease.token == token))


def take(sessions: Sessions, name: str, token: str, seconds: float | None = None) -> bool:
    """Take a lease that is free or has run out; tell whether it is ours now."""
    try:
        with sessions.begin() as session:
            now = clock(session)
            session.execute(delete(Lease).where(Lease.name == name, Lease.until <= now))
            if session.get(Lease, name) is not None:
                return False
            until = now + (seconds or LEASE_SECONDS)
            session.add(Lease(name=name, token=token, until=until))
    except IntegrityError:  # another process was faster
        return False
    return True
