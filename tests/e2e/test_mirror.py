"""What a round reads is what Label Studio holds, although it asks for changes only; no event comes.

Every edit is made on a real Label Studio that sends nothing to anybody. After each of them what
the mirror holds is compared with whole listings, task by task.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.labelstudio import in_step
from backend.labelstudio.annotations import read_tasks
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.in_step import bring_in_step
from backend.rounds.fetch import fetch
from backend.store.store import Store
from demo.labelstudio import LabelStudio as Server
from demo.project import import_tasks

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
CONFIG = (
    '<View><Text name="txt" value="$text"/><Choices name="label" toName="txt">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)
TASKS = 40
Json = dict[str, Any]


def said(choice: str) -> list[Json]:
    """Return an annotation's result."""
    value = {"choices": [choice]}
    return [{"from_name": "label", "to_name": "txt", "type": "choices", "value": value}]


class Person:
    """Edits one project over Label Studio's API."""

    def __init__(self, client: httpx.Client, project: int) -> None:
        self._client = client
        self.project = project
        self.tasks = import_tasks(
            client, project, [{"data": {"text": f"text {n}"}} for n in range(TASKS)]
        )

    def _asked(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def label(self, task: int, choice: str = "A", **more: Any) -> int:
        """Annotate a task."""
        path = f"/api/tasks/{self.tasks[task]}/annotations/"
        return int(self._asked("POST", path, {"result": said(choice), **more})["id"])

    def relabel(self, annotation: int, **fields: Any) -> None:
        """Change an annotation."""
        self._asked("PATCH", f"/api/annotations/{annotation}/", fields)

    def unlabel(self, annotation: int) -> None:
        """Delete an annotation."""
        self._asked("DELETE", f"/api/annotations/{annotation}/")

    def edit(self, task: int, **fields: Any) -> None:
        """Change a task."""
        self._asked("PATCH", f"/api/tasks/{self.tasks[task]}/", fields)

    def delete(self, task: int) -> None:
        """Delete a task."""
        self._asked("DELETE", f"/api/tasks/{self.tasks[task]}/")

    def act(self, action: str, *tasks: int, **more: Any) -> None:
        """Do a bulk action of the Data Manager."""
        chosen = {"all": False, "included": [self.tasks[task] for task in tasks]}
        path = f"/api/dm/actions?id={action}&project={self.project}"
        self._asked("POST", path, {"selectedItems": chosen, **more})

    def more(self, count: int, choice: str) -> None:
        """Import tasks that are annotated already."""
        made = [{"result": said(choice)}]
        self.tasks += import_tasks(
            self._client,
            self.project,
            [{"data": {"text": f"more {n}"}, "annotations": made} for n in range(count)],
        )

    def overlap(self, count: int) -> None:
        """Ask for so many annotations of each task."""
        self._asked("PATCH", f"/api/projects/{self.project}/", {"maximum_annotations": count})


@pytest.fixture
def person(label_studio: Server, make_project: Callable[..., int]) -> Iterator[Person]:
    """Return who edits a project of texts."""
    with label_studio.client() as client:
        yield Person(client, make_project("mirrored texts", CONFIG))


@pytest.fixture
def studio(label_studio: Server) -> Iterator[LabelStudio]:
    """Return our client of it."""
    with LabelStudio(label_studio.url, label_studio.api_key) as client:
        yield client


@pytest.fixture
def store(person: Person, tmp_path: Path) -> Iterator[Store]:
    """Return a store that knows the project."""
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    opened.save_project(person.project, connected=True, label_config=CONFIG)
    yield opened
    opened.close()


def check(studio: LabelStudio, store: Store, project: int, what: str) -> None:
    """Compare what a round reads with whole listings."""
    found = fetch(studio, store.mirror(project), project)
    tasks = {task["id"]: task for page in studio.tasks(project) for task in page}
    labelled = read_tasks(studio.annotated(project), found.config).labelled
    assert [(one.task, one.stamp, one.by) for one in found.labelled] == [
        (one.task, one.stamp, one.by) for one in labelled
    ], what
    known = {one.task for one in labelled}
    assert found.pool == [
        t for t, task in tasks.items() if not task["is_labeled"] and t not in known
    ], what
    assert {t: found.tasks[t]["data"] for t in found.tasks} == {
        t: task["data"] for t, task in tasks.items()
    }, what


def test_a_round_reads_what_is_there_whatever_was_edited_and_nobody_told(
    person: Person, studio: LabelStudio, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_step, "_MARGIN", 1.5)  # no edit is seen again by chance
    project = person.project
    check(studio, store, project, "filled")
    made = [person.label(task, "AB"[task % 2]) for task in range(8)]
    edits: list[tuple[str, Callable[[], Any]]] = [
        ("labelled", lambda: person.label(9)),
        ("relabelled", lambda: person.relabel(made[0], result=said("B"))),
        ("ground truth", lambda: person.relabel(made[1], ground_truth=True)),
        ("unlabelled", lambda: person.unlabel(made[2])),
        ("skipped", lambda: person.label(10, was_cancelled=True)),
        ("skipped after all", lambda: person.relabel(made[3], was_cancelled=True)),
        ("unlabelled in bulk", lambda: person.act("delete_tasks_annotations", 4, 5)),
        ("another text", lambda: person.edit(11, data={"text": "another", "n": [1, None, "ä"]})),
        ("deleted", lambda: person.delete(12)),
        ("deleted in bulk", lambda: person.act("delete_tasks", 6, 13, 14)),
        ("imported with labels", lambda: person.more(3, "B")),
        ("two are wanted", lambda: person.overlap(2)),
        ("one is wanted", lambda: person.overlap(1)),
        ("deleted and imported", lambda: (person.delete(15), person.more(1, "A"))),
    ]
    for what, edit in edits:
        edit()
        check(studio, store, project, what)
    # This is written without a date, and changes no count.
    field = {"value_name": "extra", "value_type": "String", "value": "x"}
    person.act("add_data_field", 20, 21, **field)
    bring_in_step(studio, store.mirror(project), project, whole=True)
    check(studio, store, project, "a field was added in bulk")
    assert json.dumps(store.mirror(project).state.apart) == "{}"
