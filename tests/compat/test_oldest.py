"""The oldest Label Studio that installs beside the pinned one without a compiler: does it work?

1.8 wants to compile an old numpy, 1.9 lacks a wheel of grpcio-status. What 1.10 needs is not pinned
but for its own version: pip's resolver decides.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.background import Background, free_port
from demo.installation import environment, find_uv
from demo.project import Annotator, create_project, import_tasks
from tests.compat.environment import NAME
from tests.e2e.server import Equipoise

OLDEST = "1.10.0"
TOKEN = "0123456789012345678901234567890123456789"
ROOT = Path(__file__).resolve().parents[2]
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="label" toName="text">'
    '<Choice value="fruit"/><Choice value="weather"/></Choices></View>'
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Install it once, start it, and return a client of it."""
    venv = ROOT / "build" / "compat" / f"label-studio-{OLDEST}"
    if not (venv / "complete").exists():
        subprocess.run(
            [*find_uv(), "venv", "--quiet", "--clear", "--python", "3.11", str(venv)], check=True
        )
        add = [*find_uv(), "pip", "install", "--quiet", "--no-config", "--no-build", "--python"]
        add += [str(venv / "bin" / "python"), f"label-studio=={OLDEST}", "setuptools<80"]
        subprocess.run(add, check=True)
        (venv / "complete").touch()
    folder = tmp_path_factory.mktemp("oldest")
    server = Background(f"Label Studio {OLDEST}", folder / "log")
    port = free_port()
    command = [str(venv / "bin" / "label-studio"), "start", "--no-browser", "--port", str(port)]
    command += ["--internal-host", "127.0.0.1", "--username", "old@equipoise.example"]
    command += ["--password", "only on loopback", "--user-token", TOKEN]
    try:
        server.start(command, environment(folder))
        server.wait_until_up(f"http://127.0.0.1:{port}/health", 300, print)
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Token {TOKEN}"},
            trust_env=False,
            follow_redirects=True,
            timeout=60,
        ) as found:
            yield found
    finally:
        server.stop()


@pytest.mark.timeout(1200)
def test_a_project_from_connect_to_a_learned_queue(client: httpx.Client, tmp_path: Path) -> None:
    version = client.get("/api/version").json()["label-studio-os-package"]["version"]
    assert version == OLDEST
    print(f"\nLabel Studio {version}, beside {NAME}:")
    project = create_project(client, "old", CONFIG)
    texts = [f"{('red apple', 'blue sky')[n % 2]} number {n}" for n in range(80)]
    import_tasks(client, project, [{"data": {"text": text}} for text in texts])
    settings = {"EQUIPOISE_RETRAIN_AFTER": "10"}
    server = Equipoise(tmp_path, str(client.base_url).rstrip("/"), TOKEN, settings)
    server.start()
    try:
        assert "the queue follows equipoise-r0000-max_herding" in server.run(
            "connect", "--project", str(project)
        )
        annotator = Annotator(client, project, subject="text")
        for _ in range(12):
            task: dict[str, Any] = annotator.next_task() or {}
            annotator.submit(task["id"], "fruit" if "apple" in task["data"]["text"] else "weather")
        server.wait_for(project, lambda s: s["round"] == 1 and s["state"] == "idle")
        remote = client.get(f"/api/projects/{project}/").json()
        assert remote["model_version"] == "equipoise-r0001-auto"
        served = annotator.next_task() or {}
        scores = {p["model_version"]: p["score"] for p in served["predictions"]}
        assert scores["equipoise-r0001-auto"] == 0, "the first of the queue"
        said = server.run("doctor", "--project", str(project))
        print(said)
        assert "backend reachable from Label Studio: Connected" in said
        assert "problem" not in said
    finally:
        server.stop()
