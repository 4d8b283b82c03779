"""The loop itself, running: it polls, it wakes up, it sees a worker end, and it asks no more."""

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
from backend.rounds import executor, look, loop
from backend.rounds.loop import Reconciler
from backend.server.app import create_app
from backend.settings import ProjectSettings, Settings
from backend.store import rankings
from backend.store.store import Store
from backend.store.tables import Kind, Round, State
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


@pytest.fixture(autouse=True)
def _short_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_DEBOUNCE", 0.1)


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
    until(lambda: looks(studio))
    before = -1
    while before != len(studio.requests):
        before = len(studio.requests)
        time.sleep(0.5)
    return before


# Polls


def test_it_polls(started: Callable[..., Reconciler], studio: FakeStudio, store: Store) -> None:
    ranked(store, studio)
    started(poll_seconds=1)
    until(lambda: looks(studio) >= 3)
    label(studio, 20)  # no webhook tells it
    until(lambda: store.running(1))
    running = store.running(1)
    assert running is not None
    assert (running.kind, running.cause) == (Kind.TRAIN, "20 new labels")


def test_it_polls_no_more_often_than_it_was_told(
    started: Callable[..., Reconciler], studio: FakeStudio, store: Store
) -> None:
    ranked(store, studio)
    started()
    before = settled(studio)
    time.sleep(QUIET)
    assert len(studio.requests) == before


# Wakes


def test_a_wake_looks_where_the_store_says_that_something_may_be_due(
    started: Callable[..., Reconciler], studio: FakeStudio, store: Store
) -> None:
    ranked(store, studio)
    reconciler = started()
    before = settled(studio)
    for _ in range(19):
        store.mark_changed(1)
    reconciler.wake()
    time.sleep(QUIET)
    assert len(studio.requests) == before, "19 events can be no 20 labels"
    store.mark_changed(1)
    label(studio, 20)
    reconciler.wake()
    until(lambda: store.running(1))


def test_a_person_s_wake_looks_everywhere(
    started: Callable[..., Reconciler], studio: FakeStudio, store: Store
) -> None:
    ranked(store, studio)
    reconciler = started()
    before = settled(studio)
    reconciler.wake(everything=True)
    until(lambda: len(studio.requests) > before)
    after = settled(studio)
    reconciler.wake()
    time.sleep(QUIET)
    assert len(studio.requests) == after, "one wake is one look"


def test_a_burst_of_wakes_is_one_look(
    started: Callable[..., Reconciler], studio: FakeStudio, store: Store
) -> None:
    ranked(store, studio)
    reconciler = started()
    settled(studio)
    before = looks(studio)
    for _ in range(50):
        reconciler.wake(everything=True)
    time.sleep(QUIET)
    assert 1 <= looks(studio) - before <= 2


@pytest.mark.parametrize("asked", ["webhook", "button", "train", "api"])
def test_what_a_person_asks_for_starts_a_round_without_any_poll(
    client: TestClient, studio: FakeStudio, store: Store, asked: str
) -> None:
    settled(studio)
    assert store.running(1) is None
    project = {"project": {"id": 1}}
    if asked == "webhook":
        label(studio, 20)
        for _ in range(20):
            client.post("/webhook", json={"action": "ANNOTATION_CREATED", **project})
    elif asked == "button":
        client.post("/webhook", json={"action": "START_TRAINING", **project})
    elif asked == "train":
        client.post("/train", json=project)
    else:
        client.post("/api/projects/1/retrain")
    until(lambda: store.running(1))
    running = store.running(1)
    assert running is not None
    assert running.kind == Kind.TRAIN


def test_the_command_line_s_wake_looks_at_once(
    client: TestClient, studio: FakeStudio, store: Store
) -> None:
    before = settled(studio)
    client.post("/api/wake")
    until(lambda: len(studio.requests) > before)


def test_other_extra_params_are_looked_at_at_once(
    client: TestClient, studio: FakeStudio, store: Store
) -> None:
    settled(studio)
    store.request(1, Kind.RANK, "noted by another process")  # which wakes nobody here
    time.sleep(QUIET)
    assert store.running(1) is None
    body = {"project": "1.2", "schema": CONFIG, "extra_params": None}
    client.post("/setup", json=body)  # nothing new
    time.sleep(QUIET)
    assert store.running(1) is None
    client.post("/setup", json={**body, "extra_params": {"strategy": "entropy"}})
    until(lambda: store.running(1))


def test_a_stranger_s_events_wake_nobody(
    client: TestClient, studio: FakeStudio, store: Store
) -> None:
    before = settled(studio)
    for project in (2, {"id": 2}, None, "x"):
        client.post("/webhook", json={"action": "START_TRAINING", "project": project})
    time.sleep(QUIET)
    assert len(studio.requests) == before


def test_a_url_added_by_hand_is_set_up_after_a_while(
    client: TestClient, studio: FakeStudio, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "_CONNECT_DELAY", QUIET)
    settled(studio)
    store.save_project(1, connected=False)
    client.post("/api/wake")
    time.sleep(QUIET / 2)
    assert not store.project(1).connected, "`equipoise connect` may be at it"
    time.sleep(QUIET)
    client.post("/api/wake")
    until(lambda: store.project(1).connected)
    assert studio.hooks


# Rounds


def test_a_worker_s_end_is_seen_without_a_poll_or_a_wake(
    started: Callable[..., Reconciler],
    studio: FakeStudio,
    store: Store,
    spawned: list[subprocess.Popen[bytes]],
) -> None:
    started()
    until(lambda: spawned)
    first = store.rounds(1)[0]
    assert (first.kind, first.strategy, first.state) == (Kind.COLD, "max_herding", State.RUNNING)
    time.sleep(QUIET)
    assert len(spawned) == 1, "one worker per project"
    folder = store.path(first.folder)
    folder.mkdir(parents=True)
    spawned[0].kill()
    until(lambda: store.round(first.id).state == State.FAILED)
    assert "ended with status -9" in store.round(first.id).error
    until(lambda: not folder.exists())
    time.sleep(QUIET)
    assert len(spawned) == 1, "a round that failed waits"


def test_a_cancelled_worker_is_ended_and_nothing_starts_again(
    started: Callable[..., Reconciler],
    studio: FakeStudio,
    store: Store,
    spawned: list[subprocess.Popen[bytes]],
) -> None:
    ranked(store, studio)
    label(studio, 20)
    reconciler = started()
    until(lambda: spawned)
    reconciler.cancel(1)
    assert spawned[0].wait(30) == -15
    until(lambda: store.rounds(1)[-1].state == State.CANCELLED)
    reconciler.wake(everything=True)
    time.sleep(QUIET)
    assert len(spawned) == 1


def test_a_stopped_loop_ends_its_workers_and_looks_no_more(
    started: Callable[..., Reconciler],
    studio: FakeStudio,
    store: Store,
    spawned: list[subprocess.Popen[bytes]],
) -> None:
    reconciler = started(poll_seconds=1)
    until(lambda: spawned)
    reconciler.stop()
    assert spawned[0].poll() is not None
    before = len(studio.requests)
    reconciler.wake(everything=True)
    time.sleep(QUIET)
    assert len(studio.requests) == before


# Troubles


def test_what_fails_is_named_and_forgotten_when_it_is_over(
    started: Callable[..., Reconciler], studio: FakeStudio, store: Store
) -> None:
    ranked(store, studio)
    studio.broken = 403
    started(poll_seconds=1)
    until(lambda: "403" in store.project(1).problem)
    studio.broken = None
    until(lambda: store.project(1).problem == "")


def test_a_store_that_fails_once_does_not_end_the_loop(
    started: Callable[..., Reconciler],
    studio: FakeStudio,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ranked(store, studio)
    real, failures = store.projects, [OSError("disk full")] * 2

    def projects() -> Any:
        if failures:
            raise failures.pop()
        return real()

    monkeypatch.setattr(store, "projects", projects)
    started(poll_seconds=1)
    until(lambda: looks(studio) >= 2)
    assert not failures


def test_one_project_s_trouble_is_not_the_next_one_s(
    started: Callable[..., Reconciler], studio: FakeStudio, store: Store
) -> None:
    ranked(store, studio)
    store.save_project(2, connected=True, label_config=CONFIG, backend_id=4)
    store.request(2, Kind.TRAIN, "test", strategy="nonsense")
    store.request(1, Kind.TRAIN, "test")
    started(max_rounds=2)
    until(lambda: store.running(1))
    until(lambda: "strategy" in store.project(2).problem)
    assert store.project(1).problem == ""


def test_a_version_that_label_studio_has_lost_is_named_again(
    started: Callable[..., Reconciler], studio: FakeStudio, store: Store
) -> None:
    found = ranked(store, studio)
    studio.predictions = [{"id": 1, "task": 1, "model_version": found.version, "score": 0.0}]
    studio.remote["model_version"] = "somebody else's"
    started(poll_seconds=1)
    until(lambda: studio.title == found.version)
    assert studio.remote["model_version"] == found.version
