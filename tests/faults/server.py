"""The server under test, which can also be killed."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from tests.e2e.server import Equipoise


class Server(Equipoise):
    """The server of the end-to-end tests, which can also be killed."""

    @property
    def data(self) -> Path:
        """Where its store and files are."""
        return Path(self.environment["EQUIPOISE_DATA_DIR"])

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._server is not None
        assert self._server._process is not None
        return self._server._process.pid

    def kill(self) -> None:
        """Kill the server alone, as the kernel does when memory runs out."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.stop_dead()

    def stop_dead(self) -> None:
        """Collect a server that was killed; workers have a session of their own and go on."""
        assert self._server is not None
        assert self._server._process is not None
        self._server._process.wait()
        self._server = None

    def workers(self) -> list[int]:
        """Return the process ids of this data folder's workers that have a round."""
        return self._named("equipoise-round")

    def _named(self, name: str) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                pid = int(entry.name)
                if (entry / "comm").read_text() == f"{name}\n" and (
                    f"EQUIPOISE_DATA_DIR={self.data}".encode()
                    in (entry / "environ").read_bytes().split(b"\0")
                ):
                    found.append(pid)
        return found

    def memory(self) -> int:
        """Return the resident bytes of the server and of the process that predicts for it."""
        return sum(resident(pid) for pid in (self.pid, *self._named("equipoise-pred")))


def resident(pid: int) -> int:
    """Return a process's resident bytes; 0 where it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
