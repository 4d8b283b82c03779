"""A server that runs in the background, with all it starts, until it is told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from demo.installation import DemoError, Say

STOP_SECONDS = 10.0


class Background:
    """One process group, its output in a file.

    Attributes:
        name: what people call it.
        log: file that receives its output.
    """

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it in a process group of its own, so that Ctrl-C reaches only us."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stop the whole group; does nothing where nothing runs."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def wait_until_up(self, health: str, seconds: float, say: Say) -> None:
        """Return when a URL answers.

        Raises:
            DemoError: the process ended, or gave no answer in time.
        """
        what = f"Starting {self.name}"
        say(f"{what} ...")
        started = said = time.monotonic()
        while not _answers(health):
            now = time.monotonic()
            if not self.runs:
                raise DemoError(f"{self.name} ended while starting.\n{self.last_words()}")
            if now - started > seconds:
                raise DemoError(
                    f"{self.name} gave no answer on {health} within {seconds:.0f} s."
                    f"\n{self.last_words()}"
                )
            if now - said > 10:
                said = now
                say(f"{what}: {now - started:.0f} s")
            time.sleep(0.2)

    def last_words(self) -> str:
        """Return the end of its output."""
        return self.log.read_text(errors="replace")[-2000:]


def free_port(preferred: int = 0) -> int:
    """Return the preferred loopback port where nothing listens on it, else any free one."""
    if preferred and not is_taken(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_taken(port: int) -> bool:
    """Whether something listens on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
