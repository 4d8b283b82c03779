"""Lost webhooks, a killed worker and a killed server change nothing but the moment of a round."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.demo.labelstudio import LabelStudio
from tests.e2e.conftest import DigitsProject
from tests.e2e.server import Equipoise
from tests.stopwatch import Stopwatch

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def label(project: DigitsProject, count: int) -> None:
    """Label the first `count` tasks that are not labelled yet."""
    for task in [t for t in project.labels if t not in project.annotator.done][:count]:
        project.annotate(task)


def worker_of(backend: Equipoise) -> int | None:
    """Return the process id of the running worker of this test's server, if any."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name = (entry / "comm").read_text()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if name == "equipoise-round\n" and str(backend.folder).encode() in environment:
            return int(entry.name)
    return None


def kill_worker_in(backend: Equipoise, project: int, phase: str) -> None:
    """Kill the worker with SIGKILL as soon as its round is in a phase."""
    backend.wait_for(project, lambda s: s["state"] == phase)
    found = worker_of(backend)
    assert found is not None
    os.kill(found, signal.SIGKILL)


def test_lost_webhooks_a_killed_worker_and_a_restart_lose_no_label(
    label_studio: LabelStudio,
    make_digits_project: Callable[..., DigitsProject],
    make_equipoise: Callable[..., Equipoise],
) -> None:
    project = make_digits_project(150)
    backend = make_equipoise()
    backend.run("connect", "--project", str(project.id))
    backend.wait_for_version(project.id, "equipoise-r0000-random")

    # Nobody hears these: the server is down while people label.
    backend.stop()
    label(project, 25)
    backend.start()
    kill_worker_in(backend, project.id, "train")

    # The old version still serves, and Label Studio's queue still names it.
    assert backend.status(project.id)["version"] == "equipoise-r0000-random"
    with label_studio.client() as client:
        remote = client.get(f"/api/projects/{project.id}/").json()
        assert remote["model_version"] == "equipoise-r0000-random"

        # The round comes again by itself, and trains on every label.
        first = backend.wait_for(project.id, lambda s: s["round"] == 1 and s["state"] == "idle")
        assert first["labels"] == 25
        history = backend.get(f"/api/projects/{project.id}/rounds")
        assert any("worker" in found["error"] for found in history if found["state"] == "failed")

        # A restart serves the last version from disk at once.
        backend.stop()
        backend.start()
        watch = Stopwatch()
        config = remote["label_config"]
        body = {
            "tasks": [{"id": list(project.labels)[-1], "data": {}}],
            "project": str(project.id),
            "label_config": config,
        }
        (item,) = backend.post("/predict", body).json()["results"]
        assert watch.seconds < 5
        assert item["model_version"] == first["version"]
        assert item["result"]

        # Somebody deletes a label and changes another: the next round holds what is there now.
        annotated = client.get(f"/api/tasks/{project.annotator.done[0]}/").json()
        client.delete(f"/api/annotations/{annotated['annotations'][0]['id']}/")
        label(project, 20)
        second = backend.wait_for(project.id, lambda s: s["round"] == 2 and s["state"] == "idle")
        assert second["labels"] == 25 - 1 + 20
        assert remote_version(client, project.id) == second["version"]


def remote_version(client: object, project: int) -> str:
    """Return the version that Label Studio's queue uses."""
    found: str = client.get(f"/api/projects/{project}/").json()["model_version"]  # type: ignore[attr-defined]
    return found
