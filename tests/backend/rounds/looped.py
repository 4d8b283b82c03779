"""A loop that runs against a Label Studio in memory, with workers that only wait."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from backend.labelstudio.config import parse
from backend.predictions.served import Serving
from backend.rounds import executor, loop
from backend.rounds.due import Due
from backend.rounds.loop import Reconciler
from backend.server.app import create_app
from backend.settings import ProjectSettings, Settings
from backend.store import rankings
from backend.store.store import Store
from backend.store.tables import Kind, Round
from strategies import Pool, Selection
from tests.backend.studio import CONFIG, FakeStudio

NEVER = 3600.0
QUIET = 1.0
"""Seconds in which a loop that was woken would have looked."""
LOOK = "GET /api/projects/1/"


def until(what: Callable[[], Any], seconds: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


class _Looks:
    """How many looks have begun and ended in a test, whoever had them."""

    begun = ended = 0


_now = [_Looks()]
"""Those of the test that runs; a look that outlives its test counts for that one."""


@pytest.fixture(autouse=True)
def _short_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let bursts be short, and count looks."""
    monkeypatch.setattr(loop, "_DEBOUNCE", 0.1)
    look, mine = Reconciler.look, _Looks()
    _now[0] = mine

    def counted(reconciler: Reconciler, project: int) -> Due | None:
        mine.begun += 1
        try:
            return look(reconciler, project)
        finally:
            mine.ended += 1

    monkeypatch.setattr(Reconciler, "look", counted)


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a project of 30 texts."""
    with FakeStudio(30) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store with the connected project 1."""
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    opened.save_project(1, connected=True, label_config=CONFIG, backend_id=4)
    yield opened
    opened.close()


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Let small processes that only wait take the place of workers; returns those started."""
    started: list[subprocess.Popen[bytes]] = []

    def spawn(program: str) -> subprocess.Popen[bytes]:
        waits = "import time; time.sleep(100)"
        started.append(subprocess.Popen([sys.executable, "-c", waits], stdin=subprocess.PIPE))
        return started[-1]

    monkeypatch.setattr(executor, "_spawn", spawn)
    return started


def settings_of(store: Store, studio: FakeStudio, **more: Any) -> Settings:
    """Return settings of a server that polls once an hour."""
    fixed = {"label_studio_url": studio.url, "api_key": "key", "data_dir": store.files}
    quiet = {"poll_seconds": NEVER, "worker_in_waiting": False, "min_free_bytes": 0}
    return Settings(**{**fixed, **quiet, **more})


@pytest.fixture
def started(
    store: Store, studio: FakeStudio, spawned: list[subprocess.Popen[bytes]]
) -> Iterator[Callable[..., Reconciler]]:
    """Return `started(**settings) -> Reconciler`, running."""
    running: list[Reconciler] = []

    def start(**settings: Any) -> Reconciler:
        config = settings_of(store, studio, **settings)
        running.append(Reconciler(store, config, Serving(store, config)))
        running[-1].start()
        return running[-1]

    yield start
    for one in running:
        one.stop()


def ranked(store: Store, studio: FakeStudio) -> Round:
    """Commit a trained round of no labels that Label Studio knows: nothing is due."""
    default = ProjectSettings().strategy
    claim = store.claim(1, Kind.TRAIN, default, "test", {"configured": default})
    assert claim is not None
    found = store.round(claim.round)
    schema = parse(CONFIG).schema
    table = rankings.build(
        sorted(studio.tasks),
        Pool(size=30),
        Selection(order=np.arange(30), scores=np.zeros(30)),
        {"label": np.full((30, 2), 0.5)},
        schema,
        {"model_version": found.version},
    )
    rankings.save(table, store.ranking(found))
    store.commit(claim, schema=schema.to_json(), tasks=30, trained_on={})
    studio.remote["model_version"] = found.version
    store.save_project(1, announced=found.version)
    return store.round(claim.round)


@pytest.fixture
def client(
    store: Store, studio: FakeStudio, spawned: list[subprocess.Popen[bytes]]
) -> Iterator[TestClient]:
    """Return a client of a whole server that polls once an hour, where nothing is due."""
    ranked(store, studio)
    app = create_app(settings_of(store, studio), store)
    with TestClient(app, base_url="http://127.0.0.1:9090") as opened:
        yield opened


def label(studio: FakeStudio, count: int) -> None:
    """Label tasks."""
    for task in range(1, count + 1):
        value = {"choices": ["A" if task % 2 else "B"]}
        item = {"from_name": "label", "type": "choices", "value": value}
        studio.annotations[task] = [{"id": task, "result": [item]}]
    studio.remote["total_annotations_number"] = count


def looks(studio: FakeStudio) -> int:
    """Return how often Label Studio was asked for the project."""
    return studio.requests.count(LOOK)


def settled(studio: FakeStudio) -> int:
    """Wait until the first look is over; return how often was asked by then."""
    mine = _now[0]
    until(lambda: 0 < mine.begun == mine.ended)
    before = -1
    while before != len(studio.requests) or mine.begun > mine.ended:
        before = len(studio.requests)
        time.sleep(0.5)
    return before
