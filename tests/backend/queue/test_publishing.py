"""Storing a version's predictions over a connection that breaks."""

from __future__ import annotations

from typing import Any

import pytest

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudio
from backend.queue import publish as publishing
from tests.backend.studio import FakeStudio

VERSION = "equipoise-r0001-bmmal"


def rows(count: int) -> list[dict[str, Any]]:
    """Return predictions for the first tasks."""
    return [
        {"task": task, "result": [], "score": task / 10, "model_version": VERSION}
        for task in range(1, count + 1)
    ]


def test_a_lost_answer_costs_seconds_and_doubles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_PAUSE", 0.1)
    with FakeStudio(10) as studio, LabelStudio(studio.url, "key") as client:
        studio.lost = 1
        assert publishing.publish(client, 1, rows(5), VERSION) == 5
        assert sorted(row["task"] for row in studio.predictions) == [1, 2, 3, 4, 5]
        studio.lost = 2
        with pytest.raises(LabelStudioError, match="does not answer POST"):
            publishing.publish(client, 1, rows(5), VERSION)
