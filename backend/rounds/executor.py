"""Where a round runs: a process of this machine each, at most `max_rounds`, and one that waits.

With the setting `executor` = "ray" that process has the round run on a Ray node, and is told,
watched and stopped like the other: whatever reads a round on its standard input, lasts as long as
it, ends on SIGTERM and tells by its status how it ended can be an executor.

Loading torch and the rest takes such a worker some seconds. So one is loaded while nothing runs
and reads on its standard input which round to run; where that end closes it ends, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass

import structlog

from backend.children import python_module
from backend.errors import EquipoiseError
from backend.rounds.context import GONE, HUNG
from backend.settings import Settings
from backend.store.lease import LEASE_SECONDS
from backend.store.store import Claim, Store
from model import cluster

log = structlog.get_logger(__name__)
_NICE = 5
_STOP_SECONDS = 10
_PROGRAMS = {"process": "backend.rounds.process", "ray": "backend.rounds.ray_job"}


@dataclass
class Worker:
    """A process that runs a round; `seen` is when its lease was last renewed, by our clock."""

    process: subprocess.Popen[bytes]
    claim: Claim
    lease: float = 0.0
    seen: float = 0.0


class Workers:
    """Starts, watches and stops worker processes; at most one per project. Thread-safe."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Start nothing yet.

        Raises:
            EquipoiseError: rounds are to run on Ray, which is not installed.
        """
        self._program = _PROGRAMS[settings.executor]
        if settings.executor == "ray":
            try:
                cluster.require()
            except cluster.ClusterUnavailable as error:
                raise EquipoiseError(f'executor = "ray": {error}') from error
        self._lock = threading.Lock()
        self._stopped = False
        self._store = store
        self._settings = settings
        self._running: dict[int, Worker] = {}
        self._waiting: subprocess.Popen[bytes] | None = None

    def __contains__(self, project: int) -> bool:
        return project in self._running

    def __len__(self) -> int:
        return len(self._running)

    @property
    def free(self) -> int:
        """How many more rounds may start."""
        return 0 if self._stopped else max(0, self._settings.max_rounds - len(self._running))

    def prepare(self) -> None:
        """Load the next round's worker, unless a round needs the processor now."""
        with self._lock:
            wanted = self._settings.worker_in_waiting and not self._stopped
            if wanted and not self._running and not self._waits():
                self._waiting = _spawn(self._program)

    def start(self, project: int, claim: Claim) -> bool:
        """Let the waiting worker, or else a new one, run a round; False once `stop` was called."""
        with self._lock:
            if self._stopped:
                return False
            process = self._waiting if self._waits() else None
            self._waiting = None
            if process is None or not _tell(process, claim):
                process = _spawn(self._program)
                _tell(process, claim)
            self._running[project] = Worker(process, claim, seen=time.monotonic())
        return True

    def ended(self, project: int) -> str | None:
        """Say why a project's worker ended; None while it runs. Kills it where it is stuck."""
        worker = self._running[project]
        code = worker.process.poll()
        if code is not None:
            return self._reason(code)
        lease = self._store.round(worker.claim.round).lease
        if lease != worker.lease:
            worker.lease, worker.seen = lease, time.monotonic()
        if time.monotonic() - worker.seen > 2 * LEASE_SECONDS:
            log.error("worker killed: no sign of life", project=project)
            worker.process.kill()
        return None

    def claim(self, project: int) -> Claim:
        """Return what a project's worker works on."""
        return self._running[project].claim

    def forget(self, project: int) -> None:
        """Forget a worker that has ended."""
        del self._running[project]

    def cancel(self, project: int) -> None:
        """Ask a project's worker to end, where there is one."""
        worker = self._running.get(project)
        if worker is not None:
            worker.process.terminate()

    def stop(self) -> None:
        """End all workers; none starts any more."""
        with self._lock:
            self._stopped = True
            processes = [worker.process for worker in self._running.values()]
            if self._waiting is not None:
                processes.append(self._waiting)
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def _waits(self) -> bool:
        return self._waiting is not None and self._waiting.poll() is None

    def _reason(self, code: int) -> str:
        if code == HUNG:
            return (
                f"A file took longer than {self._settings.decode_timeout:g} s to decode. The next "
                "round finds out which, and leaves it out."
            )
        if code == GONE:
            return "The Ray node on which it ran is gone; it will be retried."
        return f"The worker ended with status {code}; it will be retried."


def _spawn(program: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        python_module(program),
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the server, which stops its workers itself
    )
    with contextlib.suppress(OSError):  # it may have died already, which is noticed later
        # Annotators' requests come first on a busy machine.
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
    return process


def _tell(process: subprocess.Popen[bytes], claim: Claim) -> bool:
    """Tell a worker its round; not by arguments, because the token must not be in listings."""
    assert process.stdin is not None
    try:
        with process.stdin as to:
            to.write(json.dumps({"round": claim.round, "token": claim.token}).encode() + b"\n")
    except OSError:
        return False
    return True
