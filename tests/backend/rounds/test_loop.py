# ruff: noqa: F401, F811 - fixtures are imported
"""The loop itself, running: it polls, it wakes up, it sees a worker end, and it asks no more."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from backend.rounds import look
from backend.rounds.due import Due
from backend.rounds.loop import Reconciler
from backend.store.store import Store
from backend.store.tables import Kind, State
from tests.backend.rounds.looped import (
    QUIET,
    _short_bursts,
    client,
    label,
    looks,
    ranked,
    settled,
    spawned,
    started,
    store,
    studio,
    until,
)
from tests.backend.studio import CONFIG, FakeStudio

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
    until(lambda: looks(studio) > before)
    time.sleep(QUIET)
    assert looks(studio) - before <= 3


def test_who_asks_during_a_look_gets_another_one(
    started: Callable[..., Reconciler],
    studio: FakeStudio,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ranked(store, studio)
    reconciler = started()
    settled(studio)
    began: list[int] = []
    goes_on, look = threading.Event(), reconciler.look

    def slow(project: int) -> Due | None:
        began.append(project)
        goes_on.wait(60)
        return look(project)

    monkeypatch.setattr(reconciler, "look", slow)
    reconciler.wake(everything=True)
    until(lambda: began == [1])
    reconciler.wake(everything=True)
    time.sleep(QUIET)
    assert began == [1], "one at a time"
    goes_on.set()
    until(lambda: began == [1, 1])
    time.sleep(QUIET)
    assert began == [1, 1]


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
