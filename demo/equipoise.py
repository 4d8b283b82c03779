"""Equipoise itself as the demo runs it: the server as a process, the rest over its commands."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from demo.background import Background, free_port
from demo.installation import DemoError, Say
from demo.labelstudio import LabelStudio

START_SECONDS = 60.0
ROUND_SECONDS = 900.0
PROBLEM_SECONDS = 45.0
POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Status:
    """What the server says about a project (`GET /api/projects/ID/status`)."""

    state: str
    round: int
    version: str
    labels: int
    checkpoint: str
    progress: dict[str, Any]
    problem: str

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Status:
        """Read the fields that the demo uses."""
        return cls(
            value["state"],
            value["round"],
            value["version"] or "",
            value["labels"],
            value.get("checkpoint") or "",
            value["progress"] or {},
            value.get("problem") or value.get("last_error") or "",
        )

    @property
    def activity(self) -> str:
        """What goes on, in a few words."""
        if total := self.progress.get("total"):
            return f"{self.state} {self.progress['done']} of {total}"
        return f"{self.state} {self.problem}".strip()


class Equipoise:
    """`equipoise serve` for one Label Studio, on a loopback port."""

    def __init__(
        self, folder: Path, studio: LabelStudio, *, strategy: str, retrain_after: int, say: Say
    ) -> None:
        self._folder = folder
        self._say = say
        self._server = Background("Equipoise", folder / "serve.log")
        self.port = free_port(9090)
        self._env = {
            **os.environ,
            "EQUIPOISE_LABEL_STUDIO_URL": studio.url,
            "EQUIPOISE_API_KEY": studio.api_key,
            "EQUIPOISE_PORT": str(self.port),
            "EQUIPOISE_DATA_DIR": str(folder / "data"),
            # Both servers see the same disk, which saves a request per file.
            "EQUIPOISE_LOCAL_FILES_ROOT": str(studio.media),
            "EQUIPOISE_STRATEGY": strategy,
            "EQUIPOISE_RETRAIN_AFTER": str(retrain_after),
            # Rounds follow each other faster here than Label Studio deletes old predictions.
            "EQUIPOISE_KEEP_VERSIONS": "10",
        }

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        """Whether the server is alive."""
        return self._server.runs

    def __enter__(self) -> Equipoise:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._server.start([*_COMMAND, "serve"], self._env)
        try:
            self._server.wait_until_up(f"{self.url}/health", START_SECONDS, self._say)
        except BaseException:
            self._server.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop()

    def connect(self, project: int) -> str:
        """Run `equipoise connect` and return what it printed."""
        command = [*_COMMAND, "connect", "--project", str(project)]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DemoError(f"`equipoise connect` failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def status(self, project: int) -> Status:
        """Ask the server how a project stands."""
        answer = httpx.get(f"{self.url}/api/projects/{project}/status", timeout=30, trust_env=False)
        if not answer.is_success:
            raise DemoError(f"Equipoise: HTTP {answer.status_code} {answer.text[:500]}")
        return Status.from_json(answer.json())

    def wait_for_round(self, project: int, number: int) -> Status:
        """Return the status when a round is done and its queue is live.

        Raises:
            DemoError: the server ended, the round failed, or it took far too long.
        """
        found: list[Status] = []
        fine = time.monotonic()

        def done() -> bool:
            nonlocal fine
            if not self.runs:
                raise DemoError(f"Equipoise ended.\n{self._server.last_words()}")
            status = self.status(project)
            found[:] = [status]
            self._say(f"Round {number}: {status.activity}")
            if not (status.problem and status.state == "idle"):
                fine = time.monotonic()
            elif time.monotonic() - fine > PROBLEM_SECONDS:  # it is tried again before that
                raise DemoError(f"Round {number} failed: {status.problem}")
            return bool(status.version) and status.round >= number and status.state == "idle"

        wait_for(done, f"round {number} to end", say=self._say, hint=self._server.last_words)
        return found[0]


def wait_for(
    happens: Callable[[], bool], what: str, *, say: Say, hint: Callable[[], str] = str
) -> None:
    """Return when something is the case.

    Args:
        happens: looks whether it is.
        what: the thing that is awaited, for people.
        say: receives progress.
        hint: text for the error.

    Raises:
        DemoError: it was not the case for far too long.
    """
    started = said = time.monotonic()
    while not happens():
        now = time.monotonic()
        if now - started > ROUND_SECONDS:
            raise DemoError(f"Waited {ROUND_SECONDS:.0f} s for {what}.\n{hint()}")
        if now - said > 10:
            said = now
            say(f"Waiting for {what}: {now - started:.0f} s")
        time.sleep(POLL_SECONDS)


_COMMAND = (sys.executable, "-m", "backend.commands.main")
