"""`equipoise serve` and the command line, run as a user runs them: as processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from demo.background import Background, free_port


@dataclass
class Equipoise:
    """One server with a data folder of its own.

    Attributes:
        folder: its data.
        studio_url: Label Studio's address.
        api_key: the token it uses there.
        extra: more EQUIPOISE_* variables.
        port: where it listens.
    """

    folder: Path
    studio_url: str
    api_key: str
    extra: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _server: Background | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def auth(self) -> tuple[str, str] | None:
        """Basic auth, where set."""
        user = self.extra.get("EQUIPOISE_BASIC_AUTH_USER")
        return (user, self.extra["EQUIPOISE_BASIC_AUTH_PASS"]) if user else None

    @property
    def environment(self) -> dict[str, str]:
        """What every one of its processes sees."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("EQUIPOISE_")}
        return {
            **kept,
            "EQUIPOISE_LABEL_STUDIO_URL": self.studio_url,
            "EQUIPOISE_API_KEY": self.api_key,
            "EQUIPOISE_PORT": str(self.port),
            "EQUIPOISE_DATA_DIR": str(self.folder / "data"),
            "EQUIPOISE_POLL_SECONDS": "5",
            **self.extra,
        }

    @property
    def log(self) -> str:
        """Everything it printed."""
        return (self.folder / "serve.log").read_text()

    def start(self) -> Equipoise:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._server = Background("Equipoise", self.folder / "serve.log")
        command = [sys.executable, "-m", "backend.commands.main", "serve"]
        self._server.start(command, self.environment)
        self._server.wait_until_up(f"{self.url}/health", 120, lambda _: None)
        return self

    def stop(self) -> None:
        """Stop it with all it started."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Run `equipoise ARGUMENTS` and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "backend.commands.main", *arguments],
            env={**self.environment, "COLUMNS": "200", "NO_COLOR": "1"},
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def get(self, path: str) -> Any:
        """GET a path of the server."""
        answer = httpx.get(self.url + path, auth=self.auth, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any) -> httpx.Response:
        """POST JSON to the server."""
        return httpx.post(self.url + path, json=body, auth=self.auth, timeout=60, trust_env=False)

    def status(self, project: int) -> dict[str, Any]:
        """Return a project's status."""
        found: dict[str, Any] = self.get(f"/api/projects/{project}/status")
        return found

    def wait_for(
        self, project: int, what: Callable[[dict[str, Any]], bool], seconds: float = 180
    ) -> dict[str, Any]:
        """Return the first status for which `what` holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.status(project)
            if what(found):
                return found
            time.sleep(0.3)
        raise AssertionError(f"Not within {seconds} s; last status {found}\n{self.log[-4000:]}")

    def wait_for_version(self, project: int, version: str, seconds: float = 180) -> dict[str, Any]:
        """Wait until a version serves and Label Studio was told."""
        return self.wait_for(
            project, lambda s: s["version"] == version and s["state"] == "idle", seconds
        )
