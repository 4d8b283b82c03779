"""The same model under label-studio-ml's own server (1.0.9, as the package index has it)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.background import Background
from demo.labelstudio import LabelStudio
from tests.e2e.conftest import DIGITS_CONFIG, DigitsProject
from tests.e2e.server import Equipoise

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_label_studio_ml_serves_the_plugin(
    label_studio: LabelStudio,
    make_digits_project: Callable[..., DigitsProject],
    tmp_path: Path,
) -> None:
    project = make_digits_project(120)
    backend = Equipoise(tmp_path, label_studio.url, label_studio.api_key)
    # As teams have it: started in a folder with a `model.py` of its own.
    (tmp_path / "model.py").write_text("raise SystemExit('the model of another backend')\n")
    server = Background("label-studio-ml", tmp_path / "serve.log")
    program = str(Path(sys.executable).with_name("equipoise"))
    start = f"cd '{tmp_path}' && exec '{program}' plugin"
    server.start(["sh", "-c", start], backend.environment)
    try:
        server.wait_until_up(f"{backend.url}/health", 120, lambda _: None)
        printed = backend.run("connect", "--project", str(project.id))
        assert "registered" in printed
        wait_for_version(label_studio, project.id, "equipoise-r0000")
        for _ in range(24):
            task = project.annotator.next_task()
            assert task is not None
            project.annotate(task["id"])
        wait_for_version(label_studio, project.id, "equipoise-r0001")
        # Label Studio names the version a moment before the store has noted that it does.
        end = time.monotonic() + 60
        while (state := status(backend, project.id))["state"] == "announcing":
            assert time.monotonic() < end
        assert (state["round"], state["state"]) == (1, "idle")
        tasks = [{"id": task, "project": project.id, "data": {}} for task in project.labels]
        answer = httpx.post(
            f"{backend.url}/predict",
            json={"tasks": tasks, "project": f"{project.id}.1", "label_config": DIGITS_CONFIG},
            timeout=60,
            trust_env=False,
        )
        results = answer.json()["results"]
        assert len(results) == len(tasks)
        assert all(item["model_version"].startswith("equipoise-r0001") for item in results)
        assert sum(bool(item["result"]) for item in results) >= 96
    finally:
        server.stop()


def status(backend: Equipoise, project: int) -> dict[str, Any]:
    """Return what the command says; the plugin's server has no API."""
    found: dict[str, Any] = json.loads(backend.run("status", "--project", str(project), "--json"))
    return found


def wait_for_version(label_studio: LabelStudio, project: int, start: str) -> None:
    """Wait until Label Studio's queue is that of a version whose name starts so."""
    end = time.monotonic() + 240
    with label_studio.client() as client:
        while time.monotonic() < end:
            version: str = client.get(f"/api/projects/{project}/").json()["model_version"]
            if version.startswith(start):
                return
            time.sleep(1)
    raise AssertionError(f"the queue is that of {version!r}")
