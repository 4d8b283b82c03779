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


def answer(choice: str) -> list[dict[str, Any]]:
    value = {"choices": [choice]}
    return [{"from_name": "label", "to_name": "txt", "type": "choices", "value": value}]


@pytest.mark.parametrize("strict", [False, True])
def test_answers_that_are_refused_leave_the_order_whole(strict: bool) -> None:
    """Label Studio drops what its check refuses, or everything with it; the queue keeps them."""
    found = rows(4)
    for row, choice in zip(found, "ABZA", strict=True):
        row["result"] = answer(choice)
    with FakeStudio(10) as studio, LabelStudio(studio.url, "key") as client:
        studio.strict = strict
        assert publishing.publish(client, 1, found, VERSION) == 4
        kept = {row["task"]: (row["score"], bool(row["result"])) for row in studio.predictions}
    bare = {1, 2, 3, 4} if strict else {3}
    assert kept == {task: (task / 10, task not in bare) for task in (1, 2, 3, 4)}


@pytest.mark.parametrize("answered", [False, True])
def test_a_task_that_is_deleted_meanwhile_takes_no_other_along(answered: bool) -> None:
    """Label Studio refuses all predictions where one is of a task that is gone."""
    found = rows(4)
    if answered:
        found[0]["result"], found[2]["result"] = answer("A"), answer("Z")
    with FakeStudio(10) as studio, LabelStudio(studio.url, "key") as client:
        studio.tasks -= {2}
        assert publishing.publish(client, 1, found, VERSION) == 3
        assert sorted(row["task"] for row in studio.predictions) == [1, 3, 4]
        assert [bool(row["result"]) for row in studio.predictions] == [answered, False, False]
        studio.tasks.clear()
        assert publishing.publish(client, 1, found, VERSION) == 0


def test_what_is_refused_without_an_answer_is_an_error() -> None:
    found = [{**row, "score": 1.5} for row in rows(2)]
    with (
        FakeStudio(10) as studio,
        LabelStudio(studio.url, "key") as client,
        pytest.raises(LabelStudioError, match="stored 0 of 2"),
    ):
        publishing.publish(client, 1, found, VERSION)
