"""The ground that the other end-to-end tests stand on: tasks, and media served by Label Studio."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from demo.labelstudio import LabelStudio
from tests.e2e.conftest import DigitsProject

pytestmark = pytest.mark.e2e


def test_label_studio_serves_the_media_of_its_tasks_to_members_only(
    label_studio: LabelStudio, make_digits_project: Callable[..., DigitsProject]
) -> None:
    project = make_digits_project(12)
    with label_studio.client() as client:
        task = client.get(f"/api/tasks/{next(iter(project.labels))}/").json()
        image = client.get(task["data"]["image"])
        audio = client.get(task["data"]["audio"])
        del client.headers["Authorization"]
        assert client.get(task["data"]["image"]).status_code == 401
    assert image.content.startswith(b"\x89PNG")
    assert audio.content.startswith(b"RIFF")


def test_an_annotator_labels_what_is_served_next(
    make_digits_project: Callable[..., DigitsProject],
) -> None:
    project = make_digits_project(3)
    for _ in range(3):
        task = project.annotator.next_task()
        assert task is not None
        project.annotate(task["id"])
    assert set(project.annotator.done) == set(project.labels)
    assert project.annotator.next_task() is None
