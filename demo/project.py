"""What a person does in Label Studio, done over its API: projects, tasks, media, annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from demo.installation import DemoError

Task = Mapping[str, Any]


def create_project(client: httpx.Client, title: str, label_config: str, **settings: Any) -> int:
    """Create a project and return its id."""
    body = {"title": title, "label_config": label_config, **settings}
    return int(_json(client.post("/api/projects/", json=body))["id"])


def serve_folder(client: httpx.Client, project: int, folder: Path) -> None:
    """Let Label Studio serve a sub-folder of its document root to the members of a project."""
    body = {
        "project": project,
        "path": str(folder.resolve()),
        "regex_filter": ".*",
        "use_blob_urls": True,
    }
    _json(client.post("/api/storages/localfiles", json=body))


def media_url(root: Path, path: Path) -> str:
    """Return the value for a task's data that points to a file below the document root."""
    return f"/data/local-files/?d={path.resolve().relative_to(root.resolve()).as_posix()}"


def import_tasks(client: httpx.Client, project: int, tasks: Sequence[Task]) -> list[int]:
    """Import tasks (`{"data": {...}}`) and return their ids in the same order."""
    answer = client.post(
        f"/api/projects/{project}/import", params={"return_task_ids": True}, json=list(tasks)
    )
    ids = [int(task) for task in _json(answer)["task_ids"]]
    if len(ids) != len(tasks):
        raise DemoError(f"Label Studio took {len(ids)} of {len(tasks)} tasks.")
    return ids


@dataclass
class Annotator:
    """A person who takes what Label Studio serves next and chooses a class.

    Attributes:
        client: logged in as that person.
        project: the project's id.
        control: name of the Choices control.
        subject: name of the object tag that it is attached to.
        done: ids of the tasks that were annotated, in order.
    """

    client: httpx.Client
    project: int
    control: str = "label"
    subject: str = "image"
    done: list[int] = field(default_factory=list)

    def next_task(self) -> dict[str, Any] | None:
        """Return the task that Label Studio serves next; None where none is left."""
        answer = self.client.get(f"/api/projects/{self.project}/next")
        if answer.status_code == 404:
            return None
        task: dict[str, Any] = _json(answer)
        return task

    def submit(self, task: int, choice: str) -> int:
        """Annotate a task with one class and return the annotation's id."""
        result = {
            "from_name": self.control,
            "to_name": self.subject,
            "type": "choices",
            "value": {"choices": [choice]},
        }
        answer = self.client.post(f"/api/tasks/{task}/annotations/", json={"result": [result]})
        self.done.append(task)
        return int(_json(answer)["id"])


def _json(answer: httpx.Response) -> Any:
    if not answer.is_success:
        request = answer.request
        raise DemoError(
            f"{request.method} {request.url.path}: HTTP {answer.status_code} {answer.text[:500]}"
        )
    return answer.json()
