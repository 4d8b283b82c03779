"""Two servers on one store: one round at a time, taken over after a kill, fenced by its token."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from statistics import median

import pytest

from backend.store.lease import LEASE_SECONDS
from tests.backend import postgresql as server
from tests.faults.plan import full_only, note, rng, turns
from tests.faults.promises import Watch, check_settled
from tests.faults.server import Server
from tests.faults.stand import Stand
from tests.stopwatch import Stopwatch


def test_two_servers_on_sqlite(shared: Stand) -> None:
    take_over(shared, "two-servers")


@full_only("two-servers-postgresql")
def test_two_servers_on_postgresql(make_stand: Callable[..., Stand], postgresql: str) -> None:
    take_over(make_stand("two-pg", tasks=40, store_url=postgresql), "two-servers-postgresql")


def take_over(stand: Stand, row: str) -> None:
    """Let two servers compete; kill the one whose round runs; the other one goes on."""
    whole = Stopwatch()
    chance = rng(row)
    stand.label(2)
    stand.settle()
    first = stand.server
    shared = {"EQUIPOISE_DATA_DIR": str(first.data), "EQUIPOISE_PUBLIC_URL": first.url}
    other = Server(
        first.folder / "other", first.studio_url, first.api_key, {**first.extra, **shared}
    )
    takes: list[float] = []
    at_once = asleep = met = 0
    stand.label(4)
    try:
        other.start()
        with Watch(stand) as watch:
            watch.alive = False  # the first server is killed again and again
            for _ in turns(row, 1, 20):
                stand.label(2)
                stand.retrain()
                stand.until(lambda: stand.server.workers(), "a worker runs")
                at_once = max(at_once, len(stand.server.workers()))
                time.sleep(chance.uniform(0, 1))  # a round of so few tasks takes little more
                at_once = max(at_once, len(stand.server.workers()))
                had_worker, sleeper = fall(stand, first, put_to_sleep=chance.random() < 0.5)
                met += had_worker
                asleep += sleeper is not None
                fallen = Stopwatch()
                stand.server = other
                stand.end_lease()
                stand.settle(sleeper)
                takes.append(fallen.wall)
                wake_up(stand, sleeper)
                stand.server = first
                first.start()
                check_settled(stand)
                watch.check()
    finally:
        stand.server = first
        other.stop()
    assert at_once == 1, f"{at_once} rounds of one project at once"
    assert met, "every round was over before its server was killed"
    kind = "SQLite" if stand.store_url.startswith("sqlite") else "PostgreSQL"
    note(
        row,
        f"two servers on one store ({kind}), the one with the round killed",
        met,
        "promise 6: one round at a time, taken over by the other server, exact labels"
        + ("; a worker that wakes up after the take-over changes nothing" if asleep else ""),
        f"{asleep} workers were stopped and woken up later, the others killed; new round done "
        f"{max(takes):.1f} s after the lease had run out at most, {median(takes):.1f} s as a rule "
        f"(a worker that freezes under a living server is killed after {2 * LEASE_SECONDS:.0f} s)",
        whole,
    )


def fall(stand: Stand, server: Server, *, put_to_sleep: bool) -> tuple[bool, int | None]:
    """Kill a server and its worker, or stop the worker as a frozen machine does.

    Returns:
        Whether there was a worker, and the one that was stopped.
    """
    pids = stand.server.workers()
    server.kill()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP if put_to_sleep else signal.SIGKILL)
    if put_to_sleep:
        for pid in pids:
            _let_go_of_locks(stand, pid)
    return bool(pids), pids[0] if put_to_sleep and pids else None


def _let_go_of_locks(stand: Stand, pid: int) -> None:
    """Move a stopped worker on until it is in no transaction.

    One that is stopped in the middle of one keeps everybody from writing to the store (of a round,
    with PostgreSQL) until it is killed; docs/scale.md says so, and no server can help it.
    """
    for _ in range(100):
        if not stand.is_locked():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)
            os.kill(pid, signal.SIGSTOP)
    raise AssertionError("it never ended its transaction")


def wake_up(stand: Stand, pid: int | None) -> None:
    """Let a stopped worker go on; it must find that its round is another's and change nothing."""
    if pid is None:
        return
    before, queue = stand.current(), stand.remote()["model_version"]
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    stand.until(lambda: pid not in stand.server.workers(), "the old worker gives up")
    assert stand.current() == before
    assert stand.remote()["model_version"] == queue


@pytest.fixture
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL server of our own and return its URL."""
    with server.running() as address:
        yield address
