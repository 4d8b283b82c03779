"""From a webhook to the new queue live in Label Studio: at most 60 s (1,000 tasks, 100 labels)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from demo.labelstudio import LabelStudio
from tests.e2e.conftest import DigitsProject
from tests.e2e.server import Equipoise
from tests.stopwatch import Stopwatch

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_the_new_queue_is_live_within_a_minute(
    label_studio: LabelStudio,
    make_digits_project: Callable[..., DigitsProject],
    make_equipoise: Callable[..., Equipoise],
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = make_digits_project(1000)
    tasks = list(project.labels)
    for task in tasks[:80]:
        project.annotate(task)
    # So slow a poll that nothing but the webhooks starts it; as a server is by default otherwise.
    backend = make_equipoise(poll_seconds="3600", worker_in_waiting="true")
    backend.run("connect", "--project", str(project.id))
    first = backend.wait_for(project.id, lambda s: s["round"] == 1 and s["state"] == "idle", 400)
    for task in tasks[80:100]:
        project.annotate(task)
    seconds = until_the_queue_changes(label_studio, project.id)
    last = backend.wait_for(project.id, lambda s: s["labels"] == 100 and s["state"] == "idle")
    assert last["published"] == 200
    with capsys.disabled():
        print(f"\nlast webhook to new queue: {seconds:.1f} s {last['durations']}")
    assert first["labels"] == 80
    assert seconds <= 60


def until_the_queue_changes(label_studio: LabelStudio, project: int) -> float:
    """Return the seconds until Label Studio's queue is another version's."""
    watch = Stopwatch()
    with label_studio.client() as client:

        def version() -> str:
            found: str = client.get(f"/api/projects/{project}/").json()["model_version"]
            return found

        before = version()
        while version() == before:
            assert watch.wall < 300
            time.sleep(0.5)
    return watch.work
