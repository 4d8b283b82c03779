"""Old versions are deleted beside the rounds: a few at a time, found without listing all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.labelstudio.circuit import Circuits
from backend.page.status import status
from backend.queue import cleanup
from backend.queue.cleanup import Cleanup
from backend.queue.tab import SAFE
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Kind, State
from tests.backend.studio import FakeStudio

TASKS = 60


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a project with predictions of somebody else's on every task."""
    with FakeStudio(TASKS) as running:
        predict(running, "yolo-v3")
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store with the connected project 1."""
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    opened.save_project(1, connected=True)
    yield opened
    opened.close()


@pytest.fixture
def cleaning(store: Store, studio: FakeStudio, monkeypatch: pytest.MonkeyPatch) -> Cleanup:
    """Return a clean-up without pauses."""
    monkeypatch.setattr(cleanup, "_PAUSE", 0.0)
    return Cleanup(store, settings_of(store, studio), Circuits())


def settings_of(store: Store, studio: FakeStudio) -> Settings:
    return Settings(label_studio_url=studio.url, api_key="key", data_dir=store.files)


def predict(studio: FakeStudio, version: str, tasks: int = TASKS) -> None:
    """Store predictions of a version on the first tasks."""
    for task in range(1, tasks + 1):
        row = {"task": task, "score": 0.5, "result": [], "model_version": version}
        studio.predictions.append({"id": len(studio.predictions) + 1, **row})


def commit(store: Store, studio: FakeStudio) -> str:
    """Commit a round whose ranking is published."""
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    version = store.round(claim.round).version
    predict(studio, version)
    store.commit(claim)
    return version


def test_what_is_deleted_does_not_wait_for_tabs_which_are_tried_again(
    cleaning: Cleanup, store: Store, studio: FakeStudio
) -> None:
    versions = [commit(store, studio) for _ in range(4)]
    studio.tabs.append({"id": 1, "data": {"title": SAFE}})
    studio.forbidden = "dm"
    for _ in range(20):
        if not cleaning.tidy(store.project(1)):
            break
    assert [studio.count(version) for version in versions] == [0, 0, TASKS, TASKS]
    assert studio.tabs
    studio.forbidden = ""
    assert cleaning.tidy(store.project(1)) == 0
    assert studio.tabs == [], "nothing is safe to accept"
    asked = len(studio.requests)
    cleaning.tidy(store.project(1))
    assert len(studio.requests) == asked


def test_all_but_what_serves_and_is_kept_goes_a_few_at_a_time(
    cleaning: Cleanup, store: Store, studio: FakeStudio
) -> None:
    versions = [commit(store, studio) for _ in range(4)]
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", {})
    assert claim is not None
    running = store.round(claim.round).version
    predict(studio, running, 10)
    left = [cleaning.tidy(store.project(1)) for _ in range(6)]
    assert left == [70, 60, 10, 0, 0, 0]
    counts = {name: studio.count(name) for name in [*versions, running, "yolo-v3"]}
    assert list(counts.values()) == [0, 0, TASKS, TASKS, 10, TASKS]
    store.finish(claim, State.FAILED, "why")
    assert cleaning.tidy(store.project(1)) == 0
    assert studio.count(running) == 0, "what a failed round left"
    assert not any(asked.startswith("GET /api/predictions") for asked in studio.requests)


def test_the_status_tells_how_much_is_left(
    cleaning: Cleanup, store: Store, studio: FakeStudio
) -> None:
    for _ in range(3):
        commit(store, studio)
    cleaning.tidy(store.project(1))
    assert status(store, settings_of(store, studio), 1)["cleaning"] == 10
    cleaning.tidy(store.project(1))
    assert status(store, settings_of(store, studio), 1)["cleaning"] == 0


def test_a_clean_project_is_not_asked_again_before_its_next_round(
    cleaning: Cleanup, store: Store, studio: FakeStudio
) -> None:
    commit(store, studio)
    assert cleaning.tidy(store.project(1)) == 0
    asked = len(studio.requests)
    assert cleaning.tidy(store.project(1)) == 0
    assert len(studio.requests) == asked
    commit(store, studio)
    cleaning.tidy(store.project(1))
    assert len(studio.requests) > asked


def test_a_project_that_cannot_be_cleaned_costs_the_others_nothing(
    cleaning: Cleanup, store: Store, studio: FakeStudio
) -> None:
    for _ in range(3):
        commit(store, studio)
    with store.alone(1):  # as a rollback does
        cleaning.start()
        time.sleep(1.0)
        assert studio.count("yolo-v3") == TASKS
        assert status(store, settings_of(store, studio), 1)["version"]
        before = len(studio.predictions)
    cleaning.wake()
    end = time.monotonic() + 30
    while len(studio.predictions) == before and time.monotonic() < end:
        time.sleep(0.05)
    cleaning.stop()
    assert len(studio.predictions) < before


def test_what_is_counted_but_not_listed_is_not_asked_for_without_a_pause(
    cleaning: Cleanup, store: Store, studio: FakeStudio
) -> None:
    commit(store, studio)
    row = {"task": 999, "score": 0.5, "result": [], "model_version": "equipoise-r0000-lost"}
    studio.predictions.append({"id": 10_000, **row})  # of a task that no page shows
    cleaning.start()
    time.sleep(2.0)
    cleaning.stop()
    assert sum("model-versions" in asked for asked in studio.requests) == 1
