"""From a webhook to the new queue live in Label Studio: at most 60 s (1,000 tasks, 100 labels)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from backend.demo.labelstudio import LabelStudio
from tests.e2e.conftest import DigitsProject
from tests.e2e.server import Equipoise

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
    backend = make_equipoise()
    backend.run("connect", "--project", str(project.id))
    first = backend.wait_for(project.id, lambda s: s["round"] == 1 and s["state"] == "idle", 400)
    for task in tasks[80:100]:
        project.annotate(task)
    started = time.monotonic()
    with label_studio.client() as client:
        while (
            client.get(f"/api/projects/{project.id}/").json()["model_version"] == first["version"]
        ):
            assert time.monotonic() - started < 300
            time.sleep(0.5)
    seconds = time.monotonic() - started
    last = backend.wait_for(project.id, lambda s: s["round"] == 2)
    assert last["labels"] == 100
    assert last["published"] == 900
    with capsys.disabled():
        print(f"\nfrom the last webhook to the new queue: {seconds:.1f} s {last['durations']}")
    assert seconds <= 60
