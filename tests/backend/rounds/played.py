"""A project of pictures with texts in memory, and rounds that this process plays on it."""

from __future__ import annotations

import base64
import io
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from PIL import Image

from backend.rounds import process
from backend.settings import ProjectSettings, Settings, settings
from backend.store import rankings
from backend.store.store import Store
from backend.store.tables import Kind, Round, State
from tests.backend.studio import FakeStudio

CONFIG = (
    '<View><Image name="i" value="$image"/><Text name="t" value="$text"/>'
    '<Choices name="label" toName="i"><Choice value="A"/><Choice value="B"/></Choices></View>'
)
TASKS, LABELLED = 90, 60
SMALL = {"epochs": 4, "min_steps": 80, "projection": 16}
Run = Callable[..., Round]


def truth(task: int) -> str:
    """Return a task's class."""
    return "A" if task % 2 else "B"


def picture(level: int, seed: int) -> str:
    """Return a noisy grey picture as a data URI."""
    file = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 60, (16, 16, 3))
    Image.fromarray((noise + level).astype(np.uint8)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def data(task: int) -> dict[str, str]:
    """Return a task whose picture and text tell its class."""
    light, word = (150, "sunny") if truth(task) == "A" else (20, "rainy")
    return {"image": picture(light, task), "text": f"a {word} day number {task}"}


def annotation(task: int, *said: str, **more: Any) -> dict[str, Any]:
    """Return an annotation."""
    value = {"choices": list(said)}
    result = [{"from_name": "label", "type": "choices", "value": value}] if said else []
    return {"id": task, "result": result, **more}


def label(studio: FakeStudio, *tasks: int) -> None:
    """Label tasks with their classes."""
    for task in tasks:
        studio.annotations[task] = [annotation(task, truth(task))]


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a project of pictures with texts; the first tasks are labelled."""
    with FakeStudio(TASKS) as running:
        running.remote["label_config"] = CONFIG
        running.data = {task: data(task) for task in running.tasks}
        label(running, *range(1, LABELLED + 1))
        yield running


@pytest.fixture
def config(
    studio: FakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Return the settings that a round's process reads, and leave this process as it was."""
    values = {"label_studio_url": studio.url, "api_key": "key", "min_free_bytes": "0"}
    for name, value in {**values, "data_dir": str(tmp_path / "data"), "device": "cpu"}.items():
        monkeypatch.setenv(f"EQUIPOISE_{name.upper()}", value)
    comm, handler = Path("/proc/self/comm").read_text(), signal.getsignal(signal.SIGTERM)
    settings.cache_clear()
    yield settings()
    settings.cache_clear()
    signal.signal(signal.SIGTERM, handler)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    Path("/proc/self/comm").write_text(comm)


@pytest.fixture
def store(config: Settings) -> Iterator[Store]:
    """Return a store with the connected project 1."""
    opened = Store(config.database, config.data_dir)
    opened.save_project(1, connected=True, label_config=CONFIG, backend_id=4)
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return `run(kind, strategy, status=0, dry=False, **options) -> Round`, ended."""

    def go(
        kind: Kind, strategy: str = "bmmal", *, status: int = 0, dry: bool = False, **options: Any
    ) -> Round:
        named = strategy
        chosen = ProjectSettings(
            **{"strategy": named, "preset": "quick", "overrides": SMALL, **options}
        )
        claim = store.claim(
            1, kind, strategy, "test", {"settings": chosen.model_dump(), "dry": dry}
        )
        assert claim is not None
        told = json.dumps({"round": claim.round, "token": claim.token}) + "\n"
        monkeypatch.setattr("sys.stdin", io.StringIO(told))
        assert process.main() == status
        return store.round(claim.round)

    return go


def queue(studio: FakeStudio, version: str) -> list[int]:
    """Return the tasks of a version as Label Studio serves them: the lowest score first."""
    rows = [row for row in studio.predictions if row["model_version"] == version]
    return [row["task"] for row in sorted(rows, key=lambda row: row["score"])]


def check_served(studio: FakeStudio, store: Store, found: Round, tasks: set[int]) -> None:
    """A round is committed, and Label Studio serves its ranking of these tasks and no others."""
    assert (found.state, found.error) == (State.DONE, "")
    current = store.current(1)
    assert current is not None
    assert current.id == found.id
    assert set(queue(studio, found.version)) == tasks
    assert found.published == len(tasks)
    table = rankings.load(store.ranking(found))
    assert table.column("task").to_pylist() == queue(studio, found.version)
    rows = [row for row in studio.predictions if row["model_version"] == found.version]
    places = np.arange(len(tasks)) / (len(tasks) - 1)
    assert sorted(row["score"] for row in rows) == pytest.approx(places)
    assert studio.named[-1] == (found.version, len(tasks)), "named before it was wholly there"
    assert studio.remote["model_version"] == studio.title == found.version
    assert store.project(1).announced == found.version


OPEN = set(range(LABELLED + 1, TASKS + 1))
