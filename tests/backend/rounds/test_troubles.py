# ruff: noqa: F401, F811 - fixtures are imported
"""The loop in trouble: what fails is named, ends nothing, and is over when it is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backend.rounds.loop import Reconciler
from backend.store.store import Store
from backend.store.tables import Kind
from tests.backend.rounds.looped import (
    _short_bursts,
    looks,
    ranked,
    spawned,
    started,
    store,
    studio,
    until,
)
from tests.backend.studio import CONFIG, FakeStudio


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


def test_a_version_that_cannot_be_named_is_a_problem_and_stops_no_round(
    started: Callable[..., Reconciler],
    studio: FakeStudio,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Label Studio renames no backend whose address does not answer, for a while or for ever."""
    found = ranked(store, studio)
    studio.predictions = [{"id": 1, "task": 1, "model_version": found.version, "score": 0.0}]
    store.save_project(1, announced="")  # its process died before it had named it
    real = studio.answer

    def answer(method: str, path: str, body: Any) -> tuple[int, Any]:
        if (method, path.split("/")[2]) == ("PATCH", "ml"):
            return 400, {"non_field_errors": ["Can't connect to ML backend"]}
        return real(method, path, body)

    monkeypatch.setattr(studio, "answer", answer)
    loop = started(poll_seconds=1)
    until(lambda: "Can't connect" in store.project(1).problem)
    store.request(1, Kind.TRAIN, "test")
    loop.wake()
    until(lambda: store.running(1))
