"""Equipoise itself as the demo runs it: the server as a process, the rest over its commands."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from backend.demo.background import Background, free_port
from backend.demo.installation import DemoError, Say
from backend.demo.labelstudio import LabelStudio

START_SECONDS = 60.0
ROUND_SECONDS = 300.0
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

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Status:
        """Read the fields that the demo uses."""
        return cls(
            value["state"],
            value["round"],
            value["version"] or "",
            value["labels"],
            value["checkpoint"] or "",
            value["progress"] or {},
        )

    @property
    def activity(self) -> str:
        """What goes on, in a few words."""
        phase = self.progress.get("phase") or self.state
        if total := self.progress.get("total"):
            return f"{phase} {self.progress.get('done', 0)} of {total}"
        return str(phase)


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
            "EQUIPOISE_STRATEGY": strategy,
            "EQUIPOISE_RETRAIN_AFTER": str(retrain_after),
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
            DemoError: the server ended, or the round took far too long.
        """
        started = time.monotonic()
        while True:
            status = self.status(project)
            if status.version and status.round >= number and status.state == "idle":
                return status
            if not self.runs:
                raise DemoError(f"Equipoise ended.\n{self._server.last_words()}")
            seconds = time.monotonic() - started
            if seconds > ROUND_SECONDS:
                raise DemoError(
                    f"Round {number} is not done after {ROUND_SECONDS:.0f} s "
                    f"({status.state}).\n{self._server.last_words()}"
                )
            self._say(f"Round {number}: {status.activity}")
            time.sleep(POLL_SECONDS)


_COMMAND = (sys.executable, "-m", "backend.cli")
