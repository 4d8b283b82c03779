"""Label Studio on PostgreSQL, as most installations have it: its listings, and a round.

Every other test here has it on SQLite. The same request can be another matter on PostgreSQL: just
after an import of 100,000 tasks, "has annotations" in Label Studio's own words took minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.labelstudio.client import LabelStudio
from demo import postgresql
from demo.installation import DemoError, Installation
from demo.labelstudio import LabelStudio as Server
from demo.project import Annotator, create_project, import_tasks
from tests.e2e.server import Equipoise
from tests.stopwatch import Stopwatch

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
CONFIG = (
    '<View><Text name="txt" value="$text"/><Choices name="label" toName="txt">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)
TASKS, LABELS = 30_000, 40
PAGE_SECONDS = 5.0
"""What a page of 1,000 tasks may take, all of Label Studio's counting included."""


def labelled(client: httpx.Client, title: str, size: int) -> tuple[int, list[int]]:
    """Make a project of some tasks, label the first ones and return its id and theirs."""
    project = create_project(client, title, CONFIG)
    data = [{"data": {"text": f"{'red' if n % 2 else 'blue'} {n}"}} for n in range(size)]
    tasks = [
        task
        for start in range(0, size, 5000)
        for task in import_tasks(client, project, data[start : start + 5000])
    ]
    for n, task in enumerate(tasks[:LABELS]):
        label(client, task, "BA"[n % 2], was_cancelled=n == 0)
    return project, tasks


def label(client: httpx.Client, task: int, choice: str, **fields: bool) -> None:
    """Annotate a task."""
    value = {"choices": [choice]}
    result = [{"from_name": "label", "to_name": "txt", "type": "choices", "value": value}]
    answer = client.post(f"/api/tasks/{task}/annotations/", json={"result": result, **fields})
    answer.raise_for_status()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a Label Studio on a PostgreSQL server of its own."""
    try:
        postgresql.initdb()
    except DemoError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("on-postgresql")
    with postgresql.running() as socket:
        extra = postgresql.for_label_studio(socket)
        installation = Installation(ROOT / ".labelstudio")
        with Server(folder, installation=installation, extra=extra) as server:
            yield server


@pytest.fixture(scope="module")
def project(studio: Server) -> int:
    """Return a project of many tasks, of which some are labelled, one of them twice."""
    with studio.client() as client:
        made, tasks = labelled(client, "on PostgreSQL", TASKS)
        label(client, tasks[1], "A")
    return made


def test_no_listing_compares_all_tasks_with_all(studio: Server, project: int) -> None:
    client = LabelStudio(studio.url, studio.api_key, timeout=60, attempts=1)
    listings: dict[str, tuple[Callable[[], Iterator[Any]], int]] = {
        "annotated": (lambda: client.annotated_pages(project), LABELS),
        "every task": (lambda: client.tasks(project), 1000),
        "changed": (lambda: client.changed(project, "2020-01-01T00:00:00.000000Z"), 1000),
        "newer": (lambda: client.newer(project, 1), 999),
        "predicted": (lambda: client.predictions(project, "nothing"), 0),
    }
    for name, (listing, expected) in listings.items():
        watch = Stopwatch()
        page = next(listing(), [])
        watch.taken.check(PAGE_SECONDS, f"a page of {name}")
        ids = [task["id"] for task in page]
        assert len(ids) == len(set(ids)), name
        assert abs(len(ids) - expected) <= 1, name


def test_a_round_runs_and_its_queue_is_served(studio: Server, project: int, tmp_path: Path) -> None:
    server = Equipoise(
        tmp_path / "equipoise",
        studio.url,
        studio.api_key,
        {"EQUIPOISE_PRESET": "quick", "EQUIPOISE_WORKER_IN_WAITING": "false"},
    ).start()
    try:
        server.run("connect", "--project", str(project))
        status = server.wait_for(
            project, lambda s: s["round"] >= 1 and s["state"] == "idle" and s["published"], 400
        )
        assert status["labels"] == LABELS - 1  # the skipped one is none
        assert "FAIL" not in server.run("doctor", "--project", str(project))
        with studio.client() as client:
            task = Annotator(client, project).next_task()
            assert task is not None
            assert task["predictions"][0]["model_version"] == status["version"]
    finally:
        server.stop()
